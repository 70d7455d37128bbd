"""The decode stage against other decoders on the same files: seconds, memory, frames, shares.

    pip install --no-deps --target PEERS imageio-ffmpeg==0.8.1 opencv-python-headless==5.0.0.93
    pip install --no-deps --target PEERS scenedetect==0.7.2 decord2==3.4.0 torchcodec==0.12.0
    PYTHONPATH=PEERS python infra/benchmarks/decode.py FILE... [--rounds 5 --threads 1]

Each contender is a process of its own; all read all files once to warm up, then in rounds, file by
file in turns. Seconds are medians of the rounds, from the opening of a file to its end, without the
start of a process. A contender that fails at a file is compared on the others.

    ours            all of the decode stage: bytes digested, decoded, sampled, scaled twice,
                    segmented, packed, thumbnails, rows as they leave the decode child
    ffmpeg to null  the ffmpeg program of imageio-ffmpeg, every frame, nothing kept
    PyAV, OpenCV    every frame; OpenCV turns each into BGR
    PySceneDetect   its content detector, every frame
    decord2         frames at our instants, scaled to the size at which ATS sees them
    torchcodec      likewise; it needs FFmpeg's shared libraries and is lent those of PyAV's wheel

Frames needed are counted from packets alone, apart from ours (``needed_frames``), of H.264. At the
end, how the scenes of reduced frames agree with those of full ones (``boundaries``).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import av
from boundaries import agreement, print_agreement
from contender import Contender
from cyclopts import run
from decoders import MAKERS, SAMPLING, Asked, File
from needed_frames import n_needed
from our_clock import PARTS

from pipeline.scene_builder import ats_size
from pipeline.settings import SegmentationSettings

MIB = 2**20
FFMPEG = "ffmpeg to null"

# By contender and file: what was measured, or what it said where it failed.
Results = dict[tuple[str, str], dict[str, Any]]


def main(
    *file: Path,
    fps: tuple[float, ...] = (2.0, 0.5),
    rounds: int = 5,
    threads: int = 1,
    max_pixels: int | None = None,
    tau: tuple[float, ...] = (0.2, 0.5),
) -> None:
    """Measure.

    Args:
        file: videos.
        fps: frames sampled a second, by those that sample.
        rounds: how often each reads every file.
        threads: of the decoder, for all the same.
        max_pixels: of a frame as the model sees it; none: the embedded model's, 7,056.
        tau: thresholds at which scenes are compared.
    """
    files = [described(path) for path in file]
    contenders = {}
    for name in MAKERS:
        for rate in fps if name in SAMPLING else (0.0,):
            shown = f"{name}, {rate:g} fps" if rate else name
            asked = Asked(fps=rate, threads=threads, max_pixels=max_pixels)
            contenders[shown] = Contender(name, asked)
    there = {name: one for name, one in contenders.items() if one.absent is None}
    measured: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for number in range(1 + rounds):
        for one in files:
            for name, contender in there.items():
                found = contender.read(one)
                if number:  # the first one warms up
                    measured[name, one.path].append(found)
    for contender in there.values():
        contender.end()
    results = {key: settled(found) for key, found in measured.items()}
    print(f"{len(files)} files, {rounds} rounds, {threads} thread(s) each\n")
    print_sums(results, contenders, files)
    for what in ("wall_s", "cpu_s"):
        print_ratios(results, list(there), files, what)
    for rate in fps:
        print_ours(results, f"ours, {rate:g} fps", files, rate)
    print("Scenes on reduced frames against full ones, all files together:\n")
    print_agreement(agreement(file, fps=fps[0], tau=tau))


def described(path: Path) -> File:
    """The file, and the size of its frames for ATS."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        side_px = SegmentationSettings().ats_side_px
        height_px, width_px = ats_size(context.height, context.width, side_px)
    return File(path=str(path), height_px=height_px, width_px=width_px)


def settled(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the times, the largest peak, the rest as last found; or the error."""
    failed = next((found for found in rounds if "error" in found), None)
    if failed:
        return failed
    times = {name: median(found[name] for found in rounds) for name in ("wall_s", "cpu_s")}
    peak = max(found["peak_bytes"] for found in rounds)
    one = rounds[-1] | times | {"peak_bytes": peak}
    if "parts" in one:
        one["parts"] = {
            part: median(found["parts"][part] for found in rounds) for part in one["parts"]
        }
    return one


def print_sums(results: Results, contenders: dict[str, Contender], files: Sequence[File]) -> None:
    """A row a contender, over the files that it and ffmpeg can read."""
    print("| | files | wall s | x ffmpeg | CPU s | x ffmpeg | peak MiB |")
    print(f"|{'---|' * 7}")
    for name, contender in contenders.items():
        if contender.absent is not None:
            print(f"| {name} | absent: {contender.absent} | | | | | |")
            continue
        pairs = [
            (results[name, file.path], results[FFMPEG, file.path])
            for file in files
            if "error" not in results[name, file.path] | results[FFMPEG, file.path]
        ]
        cells = [name, str(len(pairs))]
        for what in ("wall_s", "cpu_s"):
            own, other = (sum(pair[which][what] for pair in pairs) for which in (0, 1))
            cells += [f"{own:.2f}", f"{own / other:.2f}" if other else ""]
        peak = max((own["peak_bytes"] for own, _ in pairs), default=0)
        print(f"| {' | '.join(cells)} | {peak / MIB:.0f} |")
    print()
    for (name, path), found in results.items():
        if "error" in found:
            print(f"{name} failed at {Path(path).name}: {found['error']}\n")


def print_ratios(results: Results, names: Sequence[str], files: Sequence[File], what: str) -> None:
    """A row a file: ffmpeg's seconds, and those of the others as multiples of them."""
    others = [name for name in names if name != FFMPEG]
    print(f"{what.split('_')[0]} seconds of ffmpeg to null, and multiples of them:\n")
    print(f"| file | codec | {FFMPEG} | {' | '.join(others)} |\n|{'---|' * (len(others) + 3)}")
    for file in files:
        base = results[FFMPEG, file.path].get(what)
        cells = [_cell(results[name, file.path].get(what), base) for name in others]
        print(f"| {_named(file)} | {'' if base is None else f'{base:.3f}'} | {' | '.join(cells)} |")
    print()


def print_ours(results: Results, name: str, files: Sequence[File], fps: float) -> None:
    """A row a file: frames decoded over those needed, and the shares of our CPU time."""
    print(f"{name}: frames, and shares of its CPU seconds:\n")
    shares = " | ".join(PARTS)
    print(f"| file | codec | sampled | decoded | needed | decoded / needed | CPU s | {shares} |")
    print(f"|{'---|' * (7 + len(PARTS))}")
    sums = dict.fromkeys(PARTS, 0.0)
    for file, found in _read_by(results, name, files):
        decoded, needed = found["n_frames_decoded"], n_needed(file.path, fps)
        frames = [found["n_frames_sampled"], decoded, "n/a" if needed is None else needed]
        cells = [*map(str, frames), _cell(decoded, needed), f"{found['cpu_s']:.3f}"]
        for part, spent_s in found["parts"].items():
            sums[part] += spent_s
        print(f"| {_named(file)} | {' | '.join(cells)} | {_shares(found['parts'])} |")
    print(f"| all | | | | | | {sum(sums.values()):.3f} | {_shares(sums)} |\n")


def _read_by(
    results: Results, name: str, files: Sequence[File]
) -> Iterator[tuple[File, dict[str, Any]]]:
    for file in files:
        found = results[name, file.path]
        if "error" not in found:
            yield file, found


def _named(file: File) -> str:
    with av.open(file.path) as container:
        return f"{Path(file.path).name} | {container.streams.video[0].codec_context.name}"


def _cell(own: float | None, other: float | None) -> str:
    return f"{own / other:.2f}" if own is not None and other else ""


def _shares(parts: dict[str, float]) -> str:
    total = sum(parts.values()) or 1.0
    return " | ".join(f"{parts[part] / total:.1%}" for part in PARTS)


if __name__ == "__main__":
    run(main)
