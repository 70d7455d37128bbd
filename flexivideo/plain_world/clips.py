"""Rendered clips: one to three shots with hard cuts, sampled as a pipeline would, and their truth.

Nothing goes through a video file: frames are rendered at the size the model sees, and a codec's
traces are part of the rendering.

Shapes: T frames, H, W pixels, 3 RGB.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.heading import Motion
from flexivideo.plain_world.judgement import Judgement, ShotTruth, judge_shot, shot_starts
from flexivideo.plain_world.scenery import Scenery
from flexivideo.plain_world.shots import Shot, motion_at, render, sample_shot

__all__ = ["RenderedClip", "film", "sample_clip", "truth_of_shot"]

Frames = NDArray[np.uint8]
Times = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RenderedClip:
    """A clip.

    Attributes:
        frames: uint8 [T,H,W,3].
        times_s: when each is shown, seconds.
        truth: what is true of it.
    """

    frames: Frames
    times_s: Times
    truth: Judgement


def sample_clip(
    rng: np.random.Generator,
    times_s: Times,
    *,
    n_shots: int,
    height_px: int,
    width_px: int,
    scenery: Scenery | None = None,
) -> RenderedClip:
    """A clip of so many shots, each of two frames at least, whose cuts no one could miss."""
    bounds = _bounds(rng, len(times_s), n_shots)
    frames = np.empty((0, height_px, width_px, 3), np.uint8)
    shots: list[ShotTruth] = []
    for begin, end in pairwise(bounds):
        while True:
            shot = sample_shot(rng, scenery)
            more = film(
                shot, times_s[begin:end], frames[-1:], height_px=height_px, width_px=width_px
            )
            if more is not None:
                break
        frames = np.concatenate([frames, more])
        shots.append(truth_of_shot(shot, more, times_s[begin:end]))
    return RenderedClip(frames=frames, times_s=times_s, truth=Judgement(shots=tuple(shots)))


def film(
    shot: Shot, times_s: Times, before: Frames, *, height_px: int, width_px: int
) -> Frames | None:
    """Frames of a shot; None if it would not be told from what is filmed before it, or in itself.

    Args:
        shot: what to film.
        times_s: at which times.
        before: the last frame before it [1,H,W,3], or none [0,H,W,3].
        height_px: of the frames.
        width_px: of the frames.
    """
    n_before = len(before)
    if n_before:  # one frame tells most of those that will not do
        first = render(shot, times_s[:1], height_px=height_px, width_px=width_px)
        if shot_starts(np.concatenate([before, first])) != ([0, 1], True):
            return None
    frames = render(shot, times_s, height_px=height_px, width_px=width_px)
    found = shot_starts(np.concatenate([before, frames]) if n_before else frames)
    return frames if found == ([0, 1][: 1 + n_before], True) else None


def truth_of_shot(shot: Shot, frames_THWC: Frames, times_s: Times) -> ShotTruth:
    """What is true of a rendered shot, by its pixels and its own motion."""
    motion = [
        motion_at(shot, float(time_s), frame)
        for time_s, frame in zip(times_s, frames_THWC, strict=True)
    ]
    return judge_shot(frames_THWC, times_s, Motion.joined(motion), thing=shot.named)


def _bounds(rng: np.random.Generator, n_frames: int, n_shots: int) -> list[int]:
    """Where shots begin, and the end: each is two frames long at least."""
    n_shots = max(1, min(n_shots, n_frames // 2))
    cuts = np.sort(rng.choice(n_frames // 2 - 1, n_shots - 1, replace=False) + 1) * 2
    return [0, *cuts.tolist(), n_frames]
