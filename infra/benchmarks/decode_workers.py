"""Decode workers side by side: what several processes get done over what one does.

    python infra/benchmarks/decode_workers.py FILE... [--workers 2 --fps 2 --rounds 5]

In each round one process decodes all files by our decode stage, then as many as there are workers
do the same work each, at once. What they get done over one is workers x its seconds / theirs, the
last one's. CPU seconds a worker say how much of a loss is memory and caches, and not the machine's
other users.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from contender import Contender
from cyclopts import run
from decoders import Asked, File


def main(
    *file: Path,
    workers: int = 2,
    fps: float = 2.0,
    rounds: int = 5,
    max_pixels: int | None = None,
) -> None:
    """Measure.

    Args:
        file: videos.
        workers: processes side by side, a decoder thread each.
        fps: frames sampled a second.
        rounds: how often both are measured.
        max_pixels: of a frame as the model sees it; none: the embedded model's.
    """
    asked = Asked(fps=fps, threads=1, max_pixels=max_pixels)
    team = [Contender("ours", asked) for _ in range(workers)]
    files = [File(path=str(path), height_px=0, width_px=0) for path in file]
    decode(team, files)  # warms up
    alone, together = [], []
    for _ in range(rounds):
        alone.append(decode(team[:1], files))
        together.append(decode(team, files))
    for one in team:
        one.end()
    ratios = [
        workers * one_s / all_s for (one_s, _), (all_s, _) in zip(alone, together, strict=True)
    ]
    print("| workers | wall s | CPU s a worker | done over one |\n|---|---|---|---|")
    print(f"| 1 | {_middle(alone, 0):.2f} | {_middle(alone, 1):.2f} | 1.00 |")
    walls, cpus = _middle(together, 0), _middle(together, 1) / workers
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"| {workers} | {walls:.2f} | {cpus:.2f} | {median(ratios):.2f} ({spread}) |")


def decode(team: Sequence[Contender], files: Sequence[File]) -> tuple[float, float]:
    """All files by every one of the team, at once: seconds of the last, and CPU seconds of all."""
    began_s, cpu_s = time.perf_counter(), 0.0
    for file in files:
        for one in team:
            one.begin(file)
    for _ in files:
        for one in team:
            answer = one.answer()
            if "error" in answer:
                raise RuntimeError(answer["error"])
            cpu_s += answer["cpu_s"]
    return time.perf_counter() - began_s, cpu_s


def _middle(rounds: Sequence[tuple[float, float]], which: int) -> float:
    return median(measured[which] for measured in rounds)


if __name__ == "__main__":
    run(main)
