"""Memory and time of captioning on a GPU, in windows of two frames, of six, and in scenes.

    python infra/benchmarks/gpu_memory.py FILE... --model FOLDER [--sample-fps 8]

Each video is one clip, as in the paper's table of ablations (its memory column: 15.7, 10.1 and
11.3 GB on MotionBench at 8 fps with 24,098, 7,822 and 14,011 tokens). The peak is what torch has
allocated, weights included; GB are 1e9 bytes.
"""

import time
from pathlib import Path

import torch
from cyclopts import run
from windowed_clips import WINDOWS, whole_clip

from flexivideo.captioning import CaptionEngine

GB = 1e9
MAX_NEW_TOKENS = 32
NO_BUDGET = 2**31 - 1


def main(
    *file: Path,
    model: str,
    sample_fps: float = 8.0,
    dtype: str = "bfloat16",
    attention: str | None = None,
    temporal_resample: str = "pi_const",
) -> None:
    """Measure.

    Args:
        file: videos, each one clip.
        model: a checkpoint.
        sample_fps: frames a second.
        dtype: of the weights.
        attention: as of the index's option.
        temporal_resample: how windows of any length become frames.
    """
    engine = CaptionEngine.from_pretrained(
        model, dtype=dtype, attention=attention, temporal_resample=temporal_resample
    )
    weights = sum(p.numel() * p.element_size() for p in engine.model.parameters())
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, weights {weights / GB:.1f} GB"
    )
    print("| video | s | windows | number | visual tokens | peak GB | seconds |")
    print("|---|---|---|---|---|---|---|")
    for path in file:
        for windows in WINDOWS:
            clip = whole_clip(path, engine.spec, windows=windows, sample_fps=sample_fps)
            for _ in range(2):  # the first one warms up
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
                begun = time.perf_counter()
                (result,) = engine.caption(
                    [clip],
                    prompt="Describe the video.",
                    max_new_tokens=MAX_NEW_TOKENS,
                    max_batch_tokens=NO_BUDGET,
                )
                spent_s = time.perf_counter() - begun
            if result.error_message:
                raise SystemExit(f"{path.name}, {windows}: {result.error_message}")
            cells = (
                path.name,
                f"{clip.scenes[-1].end_s:.0f}",
                windows,
                f"{len(clip.scenes)}",
                f"{result.n_visual_tokens:,}",
                f"{torch.cuda.max_memory_allocated() / GB:.1f}",
                f"{spent_s:.2f}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    run(main)
