"""Files that are broken at random, through the decode stage as a run has it.

    python tests/fuzz.py [--n-files 2000] [--seed 1] [--replay NUMBER]

Small videos of many kinds (``media_matrix``) and, where they are laid out, real ones that are
damaged already are mutated: bits flipped, ends cut off, pieces lost or doubled, two files spliced,
headers swapped. What becomes of the n-th file follows from the seed, so a failure is run again by
its number. Each file must end in its time as samples or as a typed error, its clips must tile, and
nothing may be raised that has no type. How the files ended is printed, with the slowest ten.
"""

import math
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from cyclopts import run
from decode_helpers import make_plan, run_stage
from media_matrix import make

from pipeline.decode_stage import DecodeStage
from pipeline.outcomes import ErrorKind, Status

# Laid out beside the checkout, or elsewhere; what is larger would only take longer.
TEST_DATA = Path(os.environ.get("FLEXIVIDEO_TEST_DATA", Path(__file__).parents[2] / "shared/data"))
MOST_BYTES = 400_000

# Of two tries that each come to a halt, with the start of two children.
MOST_S = 60.0

N_SLOWEST = 10

# Where the fields of a header mostly are, and what stands in one that lies.
HEADER_BYTES = 1024
EXTREMES = [bytes(4), b"\xff" * 4, b"\x7f" + b"\xff" * 3, b"\xff" * 3 + b"\x7f", b"\0\0\0\1"]

Mutation = Callable[[random.Random, bytes, bytes], bytes]


def _flipped(rng: random.Random, content: bytes, begin: int, end: int, n_bits: int) -> bytes:
    changed = bytearray(content)
    for _ in range(n_bits):
        changed[rng.randrange(begin, end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _piece(rng: random.Random, content: bytes) -> tuple[int, int]:
    begin = rng.randrange(len(content))
    return begin, min(len(content), begin + int(2 ** rng.uniform(0, 16)))


def bits(rng: random.Random, content: bytes, _: bytes) -> bytes:
    """Bits flipped anywhere."""
    return _flipped(rng, content, 0, len(content), int(2 ** rng.uniform(0, 9)))


def header_bits(rng: random.Random, content: bytes, _: bytes) -> bytes:
    """Bits flipped where a header is: at the beginning, or at the end."""
    n_bytes = min(HEADER_BYTES, len(content))
    begin = rng.choice((0, len(content) - n_bytes))
    return _flipped(rng, content, begin, begin + n_bytes, int(2 ** rng.uniform(0, 5)))


def extremes(rng: random.Random, content: bytes, _: bytes) -> bytes:
    """Fields of a header that say nothing, or the most that they can."""
    changed, n_bytes = bytearray(content), min(HEADER_BYTES, len(content) - 4)
    for _ in range(rng.randint(1, 4)):
        place = rng.choice((0, len(content) - n_bytes - 4)) + rng.randrange(n_bytes)
        changed[place : place + 4] = rng.choice(EXTREMES)
    return bytes(changed)


def cut(rng: random.Random, content: bytes, _: bytes) -> bytes:
    """The end is not there."""
    return content[: rng.randrange(1, len(content))]


def beheaded(rng: random.Random, content: bytes, _: bytes) -> bytes:
    """The beginning is not there."""
    return content[rng.randrange(len(content)) :]


def lost(rng: random.Random, content: bytes, _: bytes) -> bytes:
    """A piece is not there."""
    begin, end = _piece(rng, content)
    return content[:begin] + content[end:]


def doubled(rng: random.Random, content: bytes, _: bytes) -> bytes:
    """A piece is there twice."""
    begin, end = _piece(rng, content)
    return content[:end] + content[begin:]


def overwritten(rng: random.Random, content: bytes, _: bytes) -> bytes:
    """A piece is empty, or noise, as what a disk or a network makes of it."""
    begin, end = _piece(rng, content)
    filling = bytes(end - begin) if rng.random() < 0.5 else rng.randbytes(end - begin)
    return content[:begin] + filling + content[end:]


def spliced(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """The beginning of one file, the end of another."""
    return content[: rng.randrange(1, len(content))] + other[rng.randrange(len(other)) :]


def swapped(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """One file behind the header of another."""
    n_bytes = min(int(2 ** rng.uniform(3, 13)), len(content), len(other))
    return other[:n_bytes] + content[n_bytes:]


MUTATIONS: dict[str, Mutation] = {
    kind.__name__: kind
    for kind in (
        *(bits, header_bits, extremes, cut, beheaded),
        *(lost, doubled, overwritten, spliced, swapped),
    )
}


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A file to be tried.

    Attributes:
        number: of the case.
        what: what was done to which files.
        suffix: of the first of them.
        content: its bytes.
    """

    number: int
    what: str
    suffix: str
    content: bytes

    @classmethod
    def of(cls, seed: int, number: int, sources: list[Path]) -> "Broken":
        """What follows from a seed."""
        rng = random.Random(f"{seed}-{number}")
        source, other = rng.sample(sources, 2)
        content, second = source.read_bytes(), other.read_bytes()
        kinds = rng.choices(list(MUTATIONS), k=rng.choice((1, 1, 1, 2)))
        for kind in kinds:
            content = MUTATIONS[kind](rng, content, second) or b"\0"
        what = f"{' and '.join(kinds)} of {source.name}"
        if set(kinds) & {"spliced", "swapped"}:
            what += f" and {other.name}"
        return cls(number=number, what=what, suffix=source.suffix, content=content)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a file ended.

    Attributes:
        broken: the file.
        outcome: of its row; empty if it has none.
        wall_s: what it took.
        wrong: what may not be, in words.
    """

    broken: Broken
    outcome: dict[str, Any]
    wall_s: float
    wrong: list[str]

    @property
    def end(self) -> str:
        """Status and error kind."""
        return " ".join(filter(None, map(self.outcome.get, ("status", "error_kind"))))

    def __str__(self) -> str:
        size = f"{len(self.broken.content):,} bytes"
        return f"{self.wall_s:6.2f} s  {self.broken.number}: {self.broken.what}, {size}: {self.end}"


class Fuzz:
    """A decode stage that is given broken files.

    Attributes:
        peak_mib: largest resident memory of a decode child so far.
    """

    def __init__(self, folder: Path, sources: list[Path]) -> None:
        self._folder, self._sources, self._stage = folder, sources, DecodeStage(make_plan())
        self.peak_mib = 0.0

    def ended(self, seed: int, numbers: range) -> Iterator[Ended]:
        """One file after the other."""
        for number in numbers:
            broken = Broken.of(seed, number, self._sources)
            path = self._folder / f"{number}{broken.suffix}"
            path.write_bytes(broken.content)
            begun_s = time.monotonic()
            outcome, rows = run_stage(self._stage, path).get(path.name, ({}, []))
            wall_s = time.monotonic() - begun_s
            path.unlink()
            self.peak_mib = max(self.peak_mib, self._peak_mib())
            yield Ended(
                broken=broken,
                outcome=outcome,
                wall_s=wall_s,
                wrong=list(_wrong(outcome, rows, wall_s)),
            )

    def close(self) -> None:
        """End the stage's child."""
        self._stage.close()

    def _peak_mib(self) -> float:
        process = self._stage._child._process
        if process is None:
            return 0.0
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            return next((int(line.split()[1]) / 1024 for line in status if "VmHWM" in line), 0.0)


def _wrong(outcome: dict[str, Any], rows: list[dict[str, Any]], wall_s: float) -> Iterator[str]:
    if wall_s > MOST_S:
        yield f"it took {wall_s:.0f} s; expected at most {MOST_S:.0f}"
    if not outcome:
        yield "it has no outcome"
        return
    message = outcome["error_message"] or ""
    is_good = outcome["status"] == Status.SUCCESS
    if is_good != (outcome["error_kind"] is None) or is_good == bool(message):
        yield f"{outcome['status']} is {outcome['error_kind']}: {message!r}"
    elif not is_good and outcome["error_kind"] not in set(ErrorKind):
        yield f"no such kind of error: {outcome['error_kind']}"
    if "decoding raised" in message:
        yield f"an exception without a type: {message}"
    if outcome["status"] == Status.UNAVAILABLE:
        yield f"the store is blamed: {message}"
    if is_good and not rows:
        yield "a success without a clip"
    if outcome["status"] in (Status.SUCCESS, Status.PARTIAL):
        yield from _torn(outcome, rows)


def _torn(outcome: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[str]:
    """What does not tile, or does not add up."""
    clips = [row["clip"] for row in rows]
    scenes = [scene for row in rows for scene in row["scenes"]]
    counts = [("n_rows", rows), ("n_clips", clips), ("n_scenes", scenes)]
    yield from (f"{name} is {outcome[name]}" for name, all_ in counts if outcome[name] != len(all_))
    for pieces in (clips, scenes):
        if any(a["end_pts"] != b["start_pts"] for a, b in pairwise(pieces)):
            yield "pieces do not tile"
        if any(not piece["start_pts"] < piece["end_pts"] for piece in pieces):
            yield "a piece has no length"
        if any(not math.isfinite(piece["end_s"]) for piece in pieces):
            yield "a time is no number"


def sources(made: Path) -> list[Path]:
    """The files to be broken: those of the matrix in a folder, and real ones where they are."""
    real = (path for part in ("damaged", "videos") for path in (TEST_DATA / part).glob("*.*"))
    files = [*sorted(made.iterdir()), *sorted(real)]
    return [path for path in files if path.suffix not in (".json", ".tsv") and _is_small(path)]


def _is_small(path: Path) -> bool:
    return 0 < path.stat().st_size <= MOST_BYTES


def main(*, n_files: int = 2000, seed: int = 1, replay: int | None = None) -> None:
    """Break files.

    Args:
        n_files: how many.
        seed: of what is done to them.
        replay: the number of one file, in place of all.
    """
    with tempfile.TemporaryDirectory() as name:
        made, folder = Path(name, "made"), Path(name, "broken")
        made.mkdir()
        folder.mkdir()
        make(made)
        fuzz = Fuzz(folder, sources(made))
        numbers = range(n_files) if replay is None else range(replay, replay + 1)
        begun_s, all_ended = time.monotonic(), []
        for ended in fuzz.ended(seed, numbers):
            all_ended.append(ended)
            if ended.wrong or replay is not None:
                print(ended, *ended.wrong, ended.outcome, sep="\n  ", flush=True)
        fuzz.close()
    _report(all_ended, time.monotonic() - begun_s, fuzz.peak_mib)
    wrong = [ended.broken.number for ended in all_ended if ended.wrong]
    if wrong:
        again = "\n".join(f"python tests/fuzz.py --seed {seed} --replay {n}" for n in wrong)
        sys.exit(
            f"{len(wrong)} of {len(all_ended)} did not end as they should; run again:\n{again}"
        )


def _report(all_ended: list[Ended], wall_s: float, peak_mib: float) -> None:
    print(f"{len(all_ended)} files in {wall_s:.0f} s, a child's memory at most {peak_mib:.0f} MiB")
    for end, count in Counter(ended.end for ended in all_ended).most_common():
        print(f"{count:6d}  {end}")
    print("the slowest:")
    for ended in sorted(all_ended, key=lambda ended: -ended.wall_s)[:N_SLOWEST]:
        print(ended)


if __name__ == "__main__":
    run(main)
