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
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.scene_patches import ClipInput, SceneInput
from flexivideo.segmentation import segment
from flexivideo.training_batches import TrainingExample, make_example
from pipeline.identity import digest

__all__ = ["HELD_OUT_SEED", "RenderedExamples", "held_out_clips", "in_scenes", "in_windows"]

# Raise it with any change to what is rendered: a run goes on with the same clips only.
RECIPE = 3

# What smart_resize gives for 2.35:1, 16:9, 4:3, 1:1 and their upright forms.
FRAME_SIZES = ((28, 112), (56, 112), (56, 84), (84, 84), (84, 56), (112, 56), (112, 28))
FRAME_SIZE_SHARES = (0.1, 0.4, 0.18, 0.1, 0.06, 0.12, 0.04)

# Delta at 448 * 448 px, every fourth pixel, over Delta at the model's size: measured on footage
# that is neither trained on nor scored, 1.0 to 1.5.
DELTA_RATIOS = (1.0, 1.4)

# The pipeline's clips last 10 s at most.
LONGEST_CLIP_S, SHORTEST_CUT_CLIP_S = 10.0, 2.0
N_SHOTS_SHARES = {1: 0.64, 2: 0.22, 3: 0.14}

# Frames of a clip that is one scene: the least in which half a second passes, and few more.
SCENE_FRAMES = (3, 6)

# A scenery is costly, and one place gives many shots.
CLIPS_PER_SCENERY = 12

HELD_OUT_SEED = 1_000_003


class RenderedExamples:
    """See :class:`jobs.finetuning.data.TrainingExamples`; ``len`` is nominal, numbers never end.

    Args:
        n_examples: nominal number.
        seed: of all of them.
        in_one_scene: short shots whose frames are one scene each, whatever ATS would make of them:
            a fifth of the work, and all that moves is seen moving.
        window_frames: windows of so many frames in place of the scenes of ATS.
    """

    def __init__(
        self,
        *,
        n_examples: int,
        seed: int,
        in_one_scene: bool = False,
        window_frames: int | None = None,
    ) -> None:
        self._n_examples, self._seed = n_examples, seed
        self._in_one_scene, self._window_frames = in_one_scene, window_frames

    @property
    def digest(self) -> str:
        """Tells one source from another."""
        kind = (self._in_one_scene, self._window_frames)
        return digest("rendered", RECIPE, self._n_examples, self._seed, *kind)

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
        begin_s = float(rng.integers(0, 4000)) / 4  # only differences of times may matter
        question = self._processor.caption_prompt or ""
        if self._in_one_scene:
            n_frames, n_shots = int(rng.integers(SCENE_FRAMES[0], SCENE_FRAMES[1] + 1)), 1
        else:
            n_shots = int(rng.choice(list(N_SHOTS_SHARES), p=list(N_SHOTS_SHARES.values())))
            n_frames = _n_frames(rng, self._processor, n_shots=n_shots)
        clip = _render_clip(
            rng, self._processor, n_frames=n_frames, n_shots=n_shots, scenery=scenery
        )
        window_frames = n_frames if self._in_one_scene else self._window_frames
        if window_frames is None:
            tau = self._processor.tau / rng.uniform(*DELTA_RATIOS)
            cut = in_scenes(clip, tau=tau, begin_s=begin_s)
        else:
            cut = in_windows(clip, n_frames=window_frames, begin_s=begin_s)
        return make_example(self._processor, cut, [(question, caption_of(clip.truth.words))])

    def _make_scenery(self, number: int) -> Scenery:
        return sample_scenery(np.random.default_rng([self._seed, 1, number]))


def held_out_clips(
    processor: FlexiVideoProcessor, number: int, *, n_shots: int = 1, seed: int = HELD_OUT_SEED
) -> list[RenderedClip]:
    """Clips that training never sees: their seed is their own, and so is each one's scenery."""
    rng = np.random.default_rng([seed, n_shots])
    return [
        _render_clip(
            rng, processor, n_frames=_n_frames(rng, processor, n_shots=n_shots), n_shots=n_shots
        )
        for _ in range(number)
    ]


def in_scenes(clip: RenderedClip, *, tau: float, begin_s: float = 0.0) -> ClipInput:
    """The clip as the model takes it, cut by ATS."""
    scenes = segment(clip.frames, tau=tau)
    return _cut(clip, [(scene.start, scene.end) for scene in scenes], begin_s)


def in_windows(clip: RenderedClip, *, n_frames: int, begin_s: float = 0.0) -> ClipInput:
    """The clip in windows of so many frames; the last one has what is left."""
    starts = range(0, len(clip.frames), n_frames)
    return _cut(
        clip, [(start, min(start + n_frames, len(clip.frames))) for start in starts], begin_s
    )


def _cut(clip: RenderedClip, bounds: Sequence[tuple[int, int]], begin_s: float) -> ClipInput:
    """Half-open runs of frames."""
    times_s, frame_s = begin_s + clip.times_s, float(clip.times_s[1] - clip.times_s[0])
    ends_s = np.append(times_s[1:], times_s[-1] + frame_s)
    return ClipInput(
        scenes=tuple(
            SceneInput(
                frames=clip.frames[start:end],
                n_frames=end - start,
                start_s=float(times_s[start]),
                end_s=float(ends_s[end - 1]),
            )
            for start, end in bounds
        )
    )


def _n_frames(rng: np.random.Generator, processor: FlexiVideoProcessor, *, n_shots: int) -> int:
    length_s = LONGEST_CLIP_S * (0.05 + 0.95 * rng.random() ** 1.6)
    if n_shots > 1:
        length_s = max(length_s, SHORTEST_CUT_CLIP_S)
    return max(2, round(length_s * processor.sample_fps))


def _render_clip(
    rng: np.random.Generator,
    processor: FlexiVideoProcessor,
    *,
    n_frames: int,
    n_shots: int = 1,
    scenery: Scenery | None = None,
) -> RenderedClip:
    height_px, width_px = FRAME_SIZES[rng.choice(len(FRAME_SIZES), p=FRAME_SIZE_SHARES)]
    return sample_clip(
        rng,
        np.arange(n_frames) / processor.sample_fps,
        n_shots=n_shots,
        height_px=height_px,
        width_px=width_px,
        scenery=scenery,
    )
