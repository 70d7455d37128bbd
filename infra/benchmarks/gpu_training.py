"""Steps a second and memory of full fine-tuning on one GPU, a clip a step, with checkpointing.

    python infra/benchmarks/gpu_training.py FILE --model FOLDER [--sample-fps 8] [--steps 5]

The step is the fine-tuning job's own: float32 weights and AdamW, passes in bfloat16, activations of
a layer computed again in the backward pass. The peak is what torch has allocated; GB are 1e9 bytes.
"""

import time
from pathlib import Path
from statistics import median

import torch
from cyclopts import run
from windowed_clips import WINDOWS, whole_clip

from flexivideo.checkpoints import load_processor
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.scene_patches import ClipInput
from flexivideo.training_batches import make_example
from jobs.finetuning.loader import Share, make_micro_batch
from jobs.finetuning.settings import FinetuneSettings, OptimizationSettings, RunSettings
from jobs.finetuning.stepper import Stepper

GB = 1e9
CAPTION = "A man walks along a wet street, stops at a door, and looks back at the camera. " * 4


def main(file: Path, *, model: str, sample_fps: float = 8.0, steps: int = 5) -> None:
    """Measure.

    Args:
        file: the video, one clip.
        model: a checkpoint.
        sample_fps: frames a second.
        steps: measured steps; one more warms up.
    """
    processor = load_processor(model)
    settings = FinetuneSettings(
        model=model,
        optimization=OptimizationSettings(global_batch=1),
        run=RunSettings(gradient_checkpointing=True),
    )
    stepper = Stepper(settings, processor, model)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print("| windows | tokens | steps a second | peak GB | loss |")
    print("|---|---|---|---|---|")
    n_steps = len(WINDOWS) * (1 + steps)
    for number, windows in enumerate(WINDOWS):
        clip = whole_clip(file, processor.spec, windows=windows, sample_fps=sample_fps)
        share = one_clip(processor, clip)
        took_s = []
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        for step in range(number * (1 + steps), (number + 1) * (1 + steps)):
            begun = time.perf_counter()
            metrics = stepper.step(step, share, n_steps=n_steps)
            torch.cuda.synchronize()
            took_s.append(time.perf_counter() - begun)
        cells = (
            windows,
            f"{share.micro_batches[0].captions['input_ids'].shape[1]:,}",
            f"{1 / median(took_s[1:]):.2f}",
            f"{metrics['peak_memory_bytes'] / GB:.1f}",
            f"{metrics['loss']:.2f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def one_clip(processor: FlexiVideoProcessor, clip: ClipInput) -> Share:
    """A step of one clip and its caption."""
    example = make_example(processor, clip, [("Describe the video.", CAPTION.strip())])
    return Share(
        micro_batches=(make_micro_batch(processor, [example], with_vectors=False),),
        n_clips=1,
        n_learned=int((example.labels[1:] >= 0).sum()),
        n_visual=processor.n_visual_tokens(clip),
        left_out=(),
    )


if __name__ == "__main__":
    run(main)
