"""The demo's rendered clips: shots with hard cuts, and what is true of each.

Shapes: T frames, H, W pixels, 3 RGB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flexivideo.plain_words import ATTRIBUTES, Judgement, judge
from flexivideo.rendered_world import Shot, render, sample_shot
from flexivideo.segmentation import frame_difference
from flexivideo.visual_spec import VisualSpec

__all__ = ["RECIPE", "FilmedShot", "film_clips", "write_clip"]

# Raise it with any change to what is rendered: archives of another recipe are rendered anew.
RECIPE = 2

SEED = 7
FPS = 12
SHOT_S = 3.5
FRAME_SIZES = ((180, 320), (192, 256), (208, 208), (320, 180))
SHOTS_EACH = (2, 3, 4, 3, 2, 4, 3, 3)

# Frame difference across a cut; from 1.0 on the pipeline ends a clip there.
LEAST_CUT = 1.3

Frames = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class FilmedShot:
    """Frames uint8 [T,H,W,3], where they stand in their clip, and what is true of them."""

    frames: Frames
    start_s: float
    end_s: float
    judgement: Judgement


def film_clips(spec: VisualSpec, *, seed: int = SEED) -> Iterator[list[FilmedShot]]:
    """The clips' shots, one clip after another.

    Args:
        spec: of the checkpoint that will caption them: the rule judges what it will see.
        seed: of all that is rendered.
    """
    rng = np.random.default_rng(seed)
    for number, n_shots in enumerate(SHOTS_EACH):
        height_px, width_px = FRAME_SIZES[number % len(FRAME_SIZES)]
        shots: list[FilmedShot] = []
        while len(shots) < n_shots:
            filmed = _film(sample_shot(rng), len(shots) * SHOT_S, height_px, width_px, spec)
            if filmed and (not shots or _is_cut(shots[-1], filmed)):
                shots.append(filmed)
        yield shots


def write_clip(path: Path, shots_THWC: list[Frames]) -> None:
    """Shots one after another as H.264 in MP4, a keyframe a second."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.height, stream.width = shots_THWC[0].shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast", "g": str(FPS), "threads": "1"}
        for frames in shots_THWC:
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _film(
    shot: Shot, start_s: float, height_px: int, width_px: int, spec: VisualSpec
) -> FilmedShot | None:
    """The shot, if every attribute is clear in the frames that will be sampled of it."""
    sampled_s = np.arange(0, SHOT_S, 1 / spec.sample_fps)
    rough = render(shot, sampled_s, height_px=height_px // 2, width_px=width_px // 2)
    if not _is_clear(judge(_scaled(rough, spec), sampled_s)):  # spares most of the rendering
        return None
    frames = render(
        shot, np.arange(round(SHOT_S * FPS)) / FPS, height_px=height_px, width_px=width_px
    )
    sampled = frames[np.rint(sampled_s * FPS).astype(int)]
    judgement = judge(_scaled(sampled, spec), sampled_s)
    if not _is_clear(judgement):
        return None
    return FilmedShot(frames=frames, start_s=start_s, end_s=start_s + SHOT_S, judgement=judgement)


def _is_clear(judgement: Judgement) -> bool:
    return judgement.clear == frozenset(ATTRIBUTES)


def _is_cut(before: FilmedShot, after: FilmedShot) -> bool:
    """Whether no one could miss the cut, and the words on its two sides differ."""
    difference = frame_difference(after.frames[0], before.frames[-1], stride=2)
    return difference > LEAST_CUT and after.judgement.words != before.judgement.words


def _scaled(frames_THWC: Frames, spec: VisualSpec) -> Frames:
    """The frames at the size the model sees."""
    height_px, width_px = spec.frame_size(*frames_THWC.shape[1:3])
    return np.stack(
        [
            np.asarray(
                Image.fromarray(frame).resize((width_px, height_px), Image.Resampling.BICUBIC)
            )
            for frame in frames_THWC
        ]
    )
