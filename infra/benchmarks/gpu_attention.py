"""Ways of attention on a GPU in bfloat16: how far from float32, how far from one another, how fast.

    python infra/benchmarks/gpu_attention.py FILE... --model FOLDER [--sample-fps 8]

    one by one      transformers' own tower, by torch's kernel, one window after another
    equal windows   windows of one length at once, by the same kernel
    varlen          all windows at once, by torch's kernel for windows of any lengths
    flash-attn      the same by the flash-attn package, where it is installed

First the vision tower alone, over the scenes of all videos, then the whole model: the last hidden
states of a batch of the same clips, whose different lengths are padded on the left. An error is
|| a - b || / || b ||, of float32 without TF32 as b, or of "equal windows".
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import torch
from cyclopts import run
from torch import Tensor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)
from transformers.utils import is_flash_attn_2_available
from windowed_clips import whole_clip

from flexivideo import scene_vision
from flexivideo.checkpoints import load_model, load_processor
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.scene_patches import ClipInput
from flexivideo.shared_prefill import SharedPrefill, around_clip

ROUNDS = 5
MODE = "pi_const"
PROMPT = "Describe the video."

Pass = Callable[[], Tensor]


def main(*file: Path, model: str, sample_fps: float = 8.0) -> None:
    """Measure.

    Args:
        file: videos, each one clip.
        model: a checkpoint.
        sample_fps: frames a second.
    """
    processor = load_processor(model, temporal_resample=MODE)
    clips = [
        whole_clip(path, processor.spec, windows="scenes", sample_fps=sample_fps) for path in file
    ]
    vision = {name: part.cuda() for name, part in processor.vision_inputs(clips).items()}
    pixels, grid = vision["pixel_values_videos"], vision["video_grid_thw"]
    head, tail = around_clip(processor.prompt(PROMPT))

    def seen(of: FlexiVideoForConditionalGeneration) -> Pass:
        tower = of.model.visual
        return lambda: tower(pixels.to(tower.dtype), grid, return_dict=True).pooler_output

    def read(of: FlexiVideoForConditionalGeneration) -> Pass:
        return lambda: SharedPrefill(of, processor, clips, vision, head=head).last_hidden(tail)

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; {described(clips, grid)}")
    exact = load_model(model, dtype="float32", attention="sdpa", temporal_resample=MODE)
    expected = {part: answer(of(exact)) for part, of in (("tower", seen), ("model", read))}
    del exact
    ours = load_model(model, dtype="bfloat16", attention="sdpa", temporal_resample=MODE)
    stock = stock_tower(ours)
    report(
        "the vision tower",
        expected["tower"],
        ours,
        seen(ours),
        one_by_one=lambda: stock(pixels.to(stock.dtype), grid, return_dict=True).pooler_output,
    )
    report("the model, read to the end of a prompt", expected["model"], ours, read(ours))


def described(clips: Sequence[ClipInput], grid: Tensor) -> str:
    """What is passed through."""
    n_scenes = sum(len(clip.scenes) for clip in clips)
    return f"{len(clips)} clips, {n_scenes} scenes, {int(grid.prod(1).sum()):,} patches"


def stock_tower(
    ours: FlexiVideoForConditionalGeneration,
) -> Qwen2_5_VisionTransformerPretrainedModel:
    """Transformers' own, with the same weights."""
    config = ours.config.vision_config
    with ours.device:
        tower = Qwen2_5_VisionTransformerPretrainedModel._from_config(config, dtype=torch.bfloat16)
    tower.load_state_dict(ours.model.visual.state_dict())
    return tower.eval()


def report(
    what: str,
    exact: Tensor,
    ours: FlexiVideoForConditionalGeneration,
    passed: Pass,
    one_by_one: Pass | None = None,
) -> None:
    """Print the ways' table."""
    print(f"\n| {what} | ms | x equal windows | error to float32 | error to equal windows |")
    print("|---|---|---|---|---|")
    found: dict[str, tuple[float, Tensor]] = {}
    for name in ways(ours):
        found[name] = milliseconds(passed), answer(passed)
    if one_by_one is not None:
        found["one by one"] = milliseconds(one_by_one, rounds=1), answer(one_by_one)
    base_ms, base = found["equal windows"]
    for name, (took_ms, got) in found.items():
        cells = (
            name,
            f"{took_ms:.1f}",
            f"{base_ms / took_ms:.2f}",
            error(got, exact),
            error(got, base),
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def ways(ours: FlexiVideoForConditionalGeneration) -> Iterator[str]:
    """Names of the ways; while one is out, the model attends so."""
    with patch.object(scene_vision, "HALF_PRECISION", ()):
        yield "equal windows"
    yield "varlen"
    if is_flash_attn_2_available():
        ours.set_attn_implementation("flash_attention_2")
        yield "flash-attn"
        ours.set_attn_implementation("sdpa")


@torch.inference_mode()
def answer(passed: Pass) -> Tensor:
    """What a pass gives, float32."""
    return passed().float()


@torch.inference_mode()
def milliseconds(passed: Pass, rounds: int = ROUNDS) -> float:
    """Median time of a pass on the GPU, after one that warms up."""
    passed()
    times = []
    for _ in range(rounds):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        passed()
        ended.record()
        torch.cuda.synchronize()
        times.append(begun.elapsed_time(ended))
    return sorted(times)[len(times) // 2]


def error(got: Tensor, expected: Tensor) -> str:
    """Relative, as text."""
    return f"{float((got - expected).norm() / expected.norm()):.1e}"


if __name__ == "__main__":
    run(main)
