"""Captioning against transformers' own processor and ``generate``, on the same clips and weights.

    pip install --no-deps torchvision==0.28.0      # transformers' video processor wants it
    python infra/benchmarks/caption.py FILE... [--model FOLDER] [--clips 96] [--rounds 3]

The clips are cut by the pipeline into windows of two frames, the one case in which both sides see
the same tokens at the same positions, and the weights are saved as a stock Qwen2.5-VL; so all must
give the same captions, and how many are equal is printed. Each contender is a process of its own,
warmed up once and then asked in turns. Ours also makes the clips' vectors, which the others do not.

    one by one      transformers' processor and generate, a clip at a time
    in batches      the same, in batches of a fixed number, padded on the left
    ours            FlexiVideo's engine, batches by a token budget
    ours, by ATS    the same on the scenes that ATS makes of the same videos: fewer tokens
"""

import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import cpu_torchvision  # noqa: F401 - before transformers

# isort: split
import numpy as np
import pyarrow as pa
import torch
from cyclopts import run
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import Qwen2_5_VLProcessor, Qwen2VLVideoProcessor
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from flexivideo.captioning import CaptionEngine
from flexivideo.checkpoints import load_model, load_processor
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.prompts import caption_prompt
from flexivideo.scene_patches import ClipInput
from flexivideo.temporal_kernel import refit_kernel
from flexivideo.visual_spec import VisualSpec
from jobs.peak_memory import peak_bytes
from pipeline.clip_inputs import clip_inputs
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.decode_settings import DecodeSettings
from pipeline.local_uri import to_uri
from pipeline.settings import PackingSettings, SegmentationSettings
from pipeline.sources import local_ref
from pipeline.video_rows import video_rows

MAX_NEW_TOKENS = 48
BATCH_TOKENS = 16384
MIB = 2**20

# Of a whole video; the frames have their size already.
MOST_PIXELS = 2**26

# Windows of two frames: a threshold that nothing passes, and a cap.
FIXED_2 = {"tau": 1e9, "max_scene_frames": 2}

Captioner = Callable[[], list[str]]


def main(
    *file: Path,
    model: str | None = None,
    clips: int = 96,
    batch: int = 16,
    rounds: int = 3,
    threads: int = 2,
) -> None:
    """Measure.

    Args:
        file: videos to take clips from, in their order.
        model: a FlexiVideo checkpoint; none: the embedded one.
        clips: how many clips.
        batch: clips of a fixed batch.
        rounds: how often each contender captions all of them.
        threads: torch's threads, for all the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_as_stock(model, Path(folder))
        asked = {
            "files": [str(path) for path in file],
            "stock": folder,
            "prompt": caption_prompt(model),
            "clips": clips,
            "batch": batch,
            "threads": threads,
        }
        contenders = {name: Contender(name, asked) for name in CAPTIONERS}
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for _ in range(1 + rounds):  # the first one warms up
            for name, contender in contenders.items():
                results[name].append(contender.round())
        for contender in contenders.values():
            contender.end()
    report({name: found[1:] for name, found in results.items()})


class Contender:
    """A process that captions the clips whenever it is asked to."""

    def __init__(self, name: str, asked: dict[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=contend, args=(name, asked, theirs))
        self._process.start()
        theirs.close()

    def round(self) -> dict[str, Any]:
        """Seconds, shares, captions and peak memory of one round."""
        self._pipe.send(True)
        answer: dict[str, Any] = self._pipe.recv()
        return answer

    def end(self) -> None:
        """Let it go."""
        self._pipe.send(False)
        self._process.join()


def contend(name: str, asked: dict[str, Any], pipe: Connection) -> None:
    """What a contender's process does."""
    torch.set_num_threads(asked["threads"])
    clock = Clock()
    of_clips = read_clips(asked, by_ats=name == "ours, by ATS")
    base = peak_bytes()
    caption, n_visual = CAPTIONERS[name](asked, of_clips, clock)
    while pipe.recv():
        clock.reset()
        begun = time.perf_counter()
        captions = caption()
        wall_s = time.perf_counter() - begun
        pipe.send(
            {
                "wall_s": wall_s,
                "shares": {part: spent / wall_s for part, spent in clock.spent_s.items()},
                "captions": captions,
                "n_clips": len(of_clips),
                "n_visual": n_visual,
                "grown_bytes": peak_bytes() - base,
            }
        )


class Clock:
    """Seconds in parts of a model, by hooks on its modules."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self.spent_s = {"vision": 0.0, "prefill": 0.0, "decoding": 0.0}

    def watch(self, model: Qwen2_5_VLForConditionalGeneration) -> None:
        """Time the vision tower and the language model of a Qwen2.5-VL."""
        self._time(model.model.visual, lambda states: "vision")
        self._time(
            model.model.language_model,
            lambda tokens: "prefill" if tokens.shape[1] > 1 else "decoding",
        )

    def _time(self, module: nn.Module, part_of: Callable[[Any], str]) -> None:
        inner = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            result = inner(*args, **kwargs)
            named = (kwargs.get("inputs_embeds"), kwargs.get("input_ids"), *args)
            first = next(value for value in named if value is not None)
            self.spent_s[part_of(first)] += time.perf_counter() - begun
            return result

        module.forward = forward


def stock_captioner(
    asked: dict[str, Any], clips: list[ClipInput], clock: Clock, *, batch: int
) -> tuple[Captioner, int]:
    """The way of transformers itself, its processor included."""
    processor, ours = stock_processor(asked["stock"]), load_processor(asked["stock"])
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(asked["stock"]).eval()
    clock.watch(model)
    text = ours.prompt(asked["prompt"])
    videos = [np.concatenate([scene.frames for scene in clip.scenes]) for clip in clips]
    metadata = {"fps": ours.sample_fps, "total_num_frames": 0}

    @torch.inference_mode()
    def caption() -> list[str]:
        said: list[str] = []
        for start in range(0, len(videos), batch):
            part = videos[start : start + batch]
            inputs = processor(
                text=[text] * len(part),
                videos=[torch.from_numpy(video).permute(0, 3, 1, 2) for video in part],
                video_metadata=[metadata | {"total_num_frames": len(video)} for video in part],
                do_sample_frames=False,
                padding=True,
                padding_side="left",
                return_tensors="pt",
            )
            answers = model.generate(
                **inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, num_beams=1
            )
            said += processor.tokenizer.batch_decode(
                answers[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
            )
        return [caption.strip() for caption in said]

    return caption, sum(ours.n_visual_tokens(clip) for clip in clips)


def our_captioner(
    asked: dict[str, Any], clips: list[ClipInput], clock: Clock
) -> tuple[Captioner, int]:
    """FlexiVideo's engine."""
    engine = CaptionEngine.from_pretrained(asked["stock"])
    engine.model.config.text_position = "spatial"  # as transformers counts
    clock.watch(engine.model)

    def caption() -> list[str]:
        results = engine.caption(
            clips,
            prompt=asked["prompt"],
            max_new_tokens=MAX_NEW_TOKENS,
            max_batch_tokens=BATCH_TOKENS,
        )
        return [result.caption or f"error: {result.error_message}" for result in results]

    return caption, sum(engine.processor.n_visual_tokens(clip) for clip in clips)


CAPTIONERS: dict[str, Callable[..., tuple[Captioner, int]]] = {
    "one by one": lambda asked, clips, clock: stock_captioner(asked, clips, clock, batch=1),
    "in batches": lambda asked, clips, clock: stock_captioner(
        asked, clips, clock, batch=asked["batch"]
    ),
    "ours": our_captioner,
    "ours, by ATS": our_captioner,
}


def read_clips(asked: dict[str, Any], *, by_ats: bool) -> list[ClipInput]:
    """Clips of the files as the pipeline cuts and packs them."""
    spec = VisualSpec.from_pretrained(asked["stock"])
    windows: dict[str, Any] = {"tau": spec.tau} if by_ats else FIXED_2
    plan = DecodePlan(
        segmentation=Segmentation.of(SegmentationSettings(**windows), spec),
        packing=PackingSettings(),
        decode=DecodeSettings(thumbnails=False),
        spec=spec,
    )
    found: list[ClipInput] = []
    for path in asked["files"]:
        for rows in video_rows(local_ref(to_uri(path)), "benchmark", plan):
            table = pa.Table.from_batches([rows])
            found += clip_inputs(table.filter(pa.compute.equal(table["kind"], "clip")))
            if len(found) >= asked["clips"]:
                break
    found = found[: asked["clips"]]
    return found if by_ats else [at_even_times(clip, spec.sample_fps) for clip in found]


def at_even_times(clip: ClipInput, sample_fps: float) -> ClipInput:
    """The clip as transformers takes it to be: a window every so many seconds exactly."""
    step_s = 2 / sample_fps
    return ClipInput(
        scenes=tuple(
            replace(scene, start_s=number * step_s, end_s=(number + 1) * step_s)
            for number, scene in enumerate(clip.scenes)
        )
    )


def save_as_stock(model: str | None, folder: Path) -> None:
    """Write a checkpoint as the stock Qwen2.5-VL that it equals on windows of two frames."""
    ours, processor = load_model(model, device="cpu"), load_processor(model)
    told, weights = ours.config.to_dict(), ours.state_dict()
    kernel = "model.visual.patch_embed.proj.weight"
    fitted = refit_kernel(weights[kernel].float().numpy(), 2, ours.config.temporal_resample)
    weights[kernel] = torch.from_numpy(fitted).to(weights[kernel].dtype)
    told["temporal_resample"], told["vision_config"]["temporal_patch_size"] = "tei", 2
    for part in ("vision_config", "text_config"):
        told[part].pop("model_type")
    stock = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(**{name: told[name] for name in told if name != "model_type"})
    )
    stock.load_state_dict(weights)
    stock.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    pixels = {"min_pixels": processor.min_pixels, "max_pixels": processor.max_pixels}
    patches = {"patch_size": processor.patch_size, "merge_size": processor.merge_size}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels | patches))


def stock_processor(folder: str) -> Any:
    """The processor of transformers itself."""
    ours: FlexiVideoProcessor = load_processor(folder)
    options: dict[str, Any] = {
        "patch_size": ours.patch_size,
        "merge_size": ours.merge_size,
        "size": {"shortest_edge": ours.min_pixels, "longest_edge": MOST_PIXELS},
    }
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessorPil(**options),
        tokenizer=ours.tokenizer,
        video_processor=Qwen2VLVideoProcessor(**options),
        chat_template=ours.tokenizer.chat_template,
    )


def report(results: dict[str, list[dict[str, Any]]]) -> None:
    """Print the table."""
    first = results["one by one"][0]["captions"]
    walls = {name: median(found["wall_s"] for found in rounds) for name, rounds in results.items()}
    better = min(walls["one by one"], walls["in batches"])
    columns = ["clips/s", "visual tokens/s", "x the better", "MiB grown", "same captions"]
    table = Table("", *columns, "vision", "prefill", "decoding")
    for name, rounds in results.items():
        last, wall_s = rounds[-1], walls[name]
        same = sum(a == b for a, b in zip(first, last["captions"], strict=False))
        by_ats = name == "ours, by ATS"
        table.add_row(
            name,
            f"{last['n_clips'] / wall_s:.1f}",
            f"{last['n_visual'] / wall_s:,.0f}",
            "" if by_ats else f"{better / wall_s:.2f}",
            f"{last['grown_bytes'] / MIB:.0f}",
            "" if by_ats else f"{same}/{len(first)}",
            *(f"{share:.0%}" for share in last["shares"].values()),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    run(main)
