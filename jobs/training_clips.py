"""Rendered clips as the pipeline would hand them over, each with what is true of it, in batches.

Nothing goes through a video file: frames are rendered at the size the model sees, and a codec's
traces are part of the rendering. ATS of the pipeline looks at larger frames, where the same
movement differs by more, so the threshold is varied below its value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import IterableDataset
from transformers import BatchFeature

from flexivideo.plain_words import Judgement, judge
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.rendered_world import render, sample_shot
from flexivideo.scene_patches import ClipInput, SceneInput
from flexivideo.scenery import sample_scenery
from flexivideo.segmentation import segment

__all__ = ["HELD_OUT_SEED", "Example", "RenderedBatches", "held_out_examples"]

# What smart_resize gives for 2.35:1, 16:9, 4:3, 1:1 and their upright forms.
FRAME_SIZES = ((28, 112), (56, 112), (56, 84), (84, 84), (84, 56), (112, 56), (112, 28))
FRAME_SIZE_SHARES = (0.1, 0.4, 0.18, 0.1, 0.06, 0.12, 0.04)

# Delta at 448 * 448 px, every fourth pixel, over Delta at the model's size: measured on footage
# that is neither trained on nor scored, 1.0 to 1.5.
DELTA_RATIOS = (1.0, 1.4)

# The pipeline's clips last 10 s at most.
LONGEST_CLIP_S = 10.0
OTHER_FPS_SHARE, OTHER_FPS = 0.1, (3.0, 4.0)
TWO_SHOTS_SHARE = 0.06
SHOTS_PER_SCENERY = 6

HELD_OUT_SEED = 1_000_003


@dataclass(frozen=True, kw_only=True)
class Example:
    """A clip and what is true of it."""

    clip: ClipInput
    truth: Judgement


class RenderedBatches(IterableDataset):
    """Endless steps; each is a list of micro-batches, alike in length, so that little is padded.

    Labels stand on the answer alone. Micro-batches are parts of one random draw: their gradients
    belong together.
    """

    def __init__(
        self, processor: FlexiVideoProcessor, *, seed: int, n_clips: int, n_parts: int
    ) -> None:
        self._processor, self._seed = processor, seed
        self._n_clips, self._n_parts = n_clips, n_parts

    def __iter__(self) -> Iterator[list[BatchFeature]]:
        torch.set_num_threads(1)
        examples = _examples(np.random.default_rng(self._seed), self._processor)
        while True:
            drawn = [next(examples) for _ in range(self._n_clips)]
            drawn.sort(key=lambda example: self._processor.n_visual_tokens(example.clip))
            parts = np.array_split(np.arange(self._n_clips), self._n_parts)
            yield [self._batch([drawn[i] for i in part]) for part in parts]

    def _batch(self, examples: list[Example]) -> BatchFeature:
        question = self._processor.prompt(self._processor.caption_prompt or "")
        answers = [f"{example.truth.words.caption()}<|im_end|>" for example in examples]
        batch = self._processor(
            text=[question + answer for answer in answers],
            clips=[example.clip for example in examples],
        )
        labels = torch.full_like(batch["input_ids"], -100)
        for row, answer in enumerate(answers):
            n_tokens = len(self._processor.tokenizer(answer)["input_ids"])
            labels[row, -n_tokens:] = batch["input_ids"][row, -n_tokens:]
        batch["labels"] = labels
        return batch


def held_out_examples(
    processor: FlexiVideoProcessor, number: int, *, seed: int = HELD_OUT_SEED
) -> list[Example]:
    """Clips of single shots that training never sees: their seed is their own."""
    examples = _examples(np.random.default_rng(seed), processor, plain=True)
    return [next(examples) for _ in range(number)]


def _examples(
    rng: np.random.Generator, processor: FlexiVideoProcessor, *, plain: bool = False
) -> Iterator[Example]:
    """Endless examples; plain: single shots, scenery used once, at the checkpoint's own rate."""
    while True:
        scenery = sample_scenery(rng)
        for _ in range(1 if plain else SHOTS_PER_SCENERY):
            height_px, width_px = FRAME_SIZES[rng.choice(len(FRAME_SIZES), p=FRAME_SIZE_SHARES)]
            others = not plain and rng.random() < OTHER_FPS_SHARE
            fps = float(rng.choice(OTHER_FPS)) if others else processor.sample_fps
            length_s = LONGEST_CLIP_S * (0.05 + 0.95 * rng.random() ** 1.6)
            times_s = np.arange(max(1, round(length_s * fps))) / fps
            frames = render(
                sample_shot(rng, scenery), times_s, height_px=height_px, width_px=width_px
            )
            if not plain and rng.random() < TWO_SHOTS_SHARE and len(times_s) > 3:
                cut = int(rng.integers(1, len(times_s)))
                other = sample_shot(rng, scenery)
                frames[cut:] = render(other, times_s[cut:], height_px=height_px, width_px=width_px)
            tau = processor.tau / rng.uniform(*DELTA_RATIOS)
            begin_s = float(rng.integers(0, 4000)) / 4  # only differences of times may matter
            yield Example(
                clip=_clip(frames, begin_s + times_s, fps=fps, tau=tau),
                truth=judge(frames, times_s),
            )


def _clip(frames: np.ndarray, times_s: np.ndarray, *, fps: float, tau: float) -> ClipInput:
    ends_s = np.append(times_s[1:], times_s[-1] + 1 / fps)
    return ClipInput(
        scenes=tuple(
            SceneInput(
                frames=frames[scene.start : scene.end],
                n_frames=scene.end - scene.start,
                start_s=float(times_s[scene.start]),
                end_s=float(ends_s[scene.end - 1]),
            )
            for scene in segment(frames, tau=tau)
        )
    )
