"""Rendered clips as training examples: endless, numbered, each made from its seed and number alone.

ATS of the pipeline looks at larger frames, where the same movement differs by more, so the
threshold is varied below its value.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from flexivideo.plain_world.clips import RenderedClip, sample_clip
from flexivideo.plain_world.scenery import Scenery, sample_scenery
from flexivideo.plain_world.words import caption_of
from flexivideo.processing_flexivideo import ClipInput, FlexiVideoProcessor, SceneInput
from flexivideo.segmentation import segment
from flexivideo.training_batches import TrainingExample, make_example
from pipeline.identity import digest

__all__ = ["HELD_OUT_SEED", "RenderedExamples", "held_out_clips", "in_scenes"]

# Raise it with any change to what is rendered: a run goes on with the same clips only.
RECIPE = 1

# What smart_resize gives for 2.35:1, 16:9, 4:3, 1:1 and their upright forms.
FRAME_SIZES = ((28, 112), (56, 112), (56, 84), (84, 84), (84, 56), (112, 56), (112, 28))
FRAME_SIZE_SHARES = (0.1, 0.4, 0.18, 0.1, 0.06, 0.12, 0.04)

# Delta at 448 * 448 px, every fourth pixel, over Delta at the model's size: measured on footage
# that is neither trained on nor scored, 1.0 to 1.5.
DELTA_RATIOS = (1.0, 1.4)

# The pipeline's clips last 10 s at most.
LONGEST_CLIP_S, SHORTEST_CUT_CLIP_S = 10.0, 2.0
N_SHOTS_SHARES = {1: 0.76, 2: 0.16, 3: 0.08}

# A scenery is costly, and one place gives many shots.
CLIPS_PER_SCENERY = 12

HELD_OUT_SEED = 1_000_003


class RenderedExamples:
    """See :class:`jobs.finetuning.data.TrainingExamples`; ``len`` is nominal, numbers never end."""

    def __init__(self, *, n_examples: int, seed: int) -> None:
        self._n_examples, self._seed = n_examples, seed

    @property
    def digest(self) -> str:
        """Tells one source from another."""
        return digest("rendered", RECIPE, self._n_examples, self._seed)

    def __len__(self) -> int:
        return self._n_examples

    def of_step(self, step: int, n_step: int, seed: int) -> Sequence[int]:
        """Numbers of a step's examples: each is seen once."""
        del seed
        return range(step * n_step, (step + 1) * n_step)

    def open(self, processor: FlexiVideoProcessor, context_tokens: int) -> None:
        """Get ready to render."""
        del context_tokens
        self._processor = processor
        self._scenery = lru_cache(maxsize=8)(self._make_scenery)

    def load(self, number: int) -> TrainingExample:
        """Render an example."""
        rng = np.random.default_rng([self._seed, 0, number])
        scenery = self._scenery(number // CLIPS_PER_SCENERY)
        n_shots = int(rng.choice(list(N_SHOTS_SHARES), p=list(N_SHOTS_SHARES.values())))
        clip = _render_clip(rng, self._processor, n_shots=n_shots, scenery=scenery)
        tau = self._processor.tau / rng.uniform(*DELTA_RATIOS)
        begin_s = float(rng.integers(0, 4000)) / 4  # only differences of times may matter
        question = self._processor.caption_prompt or ""
        return make_example(
            self._processor,
            in_scenes(clip, tau=tau, begin_s=begin_s),
            [(question, caption_of(clip.truth.words))],
        )

    def _make_scenery(self, number: int) -> Scenery:
        return sample_scenery(np.random.default_rng([self._seed, 1, number]))


def held_out_clips(
    processor: FlexiVideoProcessor, number: int, *, n_shots: int = 1, seed: int = HELD_OUT_SEED
) -> list[RenderedClip]:
    """Clips that training never sees: their seed is their own, and so is each one's scenery."""
    rng = np.random.default_rng([seed, n_shots])
    return [_render_clip(rng, processor, n_shots=n_shots) for _ in range(number)]


def in_scenes(clip: RenderedClip, *, tau: float, begin_s: float = 0.0) -> ClipInput:
    """The clip as the model takes it, cut by ATS."""
    times_s, frame_s = begin_s + clip.times_s, float(clip.times_s[1] - clip.times_s[0])
    ends_s = np.append(times_s[1:], times_s[-1] + frame_s)
    return ClipInput(
        scenes=tuple(
            SceneInput(
                frames=clip.frames[scene.start : scene.end],
                n_frames=scene.end - scene.start,
                start_s=float(times_s[scene.start]),
                end_s=float(ends_s[scene.end - 1]),
            )
            for scene in segment(clip.frames, tau=tau)
        )
    )


def _render_clip(
    rng: np.random.Generator,
    processor: FlexiVideoProcessor,
    *,
    n_shots: int,
    scenery: Scenery | None = None,
) -> RenderedClip:
    height_px, width_px = FRAME_SIZES[rng.choice(len(FRAME_SIZES), p=FRAME_SIZE_SHARES)]
    length_s = LONGEST_CLIP_S * (0.05 + 0.95 * rng.random() ** 1.6)
    if n_shots > 1:
        length_s = max(length_s, SHORTEST_CUT_CLIP_S)
    times_s = np.arange(max(2, round(length_s * processor.sample_fps))) / processor.sample_fps
    return sample_clip(
        rng, times_s, n_shots=n_shots, height_px=height_px, width_px=width_px, scenery=scenery
    )
