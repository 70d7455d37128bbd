"""Footage as the written rule judges it: frames as the model sees them, and how they move.

Motion is measured by OpenCV's optical flow (DIS) between a sampled frame and one an eighth of a
second later, at twice the model's size: from one sampled frame to the next it would be too far.

Shapes: H, W pixels, 3 RGB.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.heading import CELL_PX, Motion, picture_weights
from flexivideo.visual_spec import VisualSpec
from pipeline.container import open_video
from pipeline.decode import DecodeReport, timed_frames
from pipeline.orientation import UprightScaler
from pipeline.sampling import InstantSampler

__all__ = ["SeenFrame", "seen_frames"]

# How much larger than the model's the frames are in which motion is measured, and over how long.
FLOW_SCALE = 2
FLOW_STEP_S = 0.125

# Sampled times are sums of fractions.
TIME_ERROR_S = 1e-6

# Mean difference of two frames an eighth of a second apart from which there is no flow to follow.
CUT_GREY_LEVELS = 45.0

Frame = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class SeenFrame:
    """A sampled frame.

    Attributes:
        time_s: from the first frame, seconds.
        frame: uint8 [H,W,3], as the model sees it.
        motion: around it.
    """

    time_s: float
    frame: Frame
    motion: Motion


def seen_frames(path: Path, spec: VisualSpec) -> Iterator[SeenFrame]:
    """The frames of a file that the pipeline samples for a checkpoint."""
    for look, following in pairwise(chain(_looks(path, spec), (None,))):
        if look is not None and look.seen is not None:
            motion = _at_rest(look) if following is None else _motion(look, following)
            yield SeenFrame(time_s=look.time_s, frame=look.seen, motion=motion)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """A frame in which motion is measured; ``seen`` is what the model sees, if it is sampled."""

    time_s: float
    grey: Frame
    seen: Frame | None


def _looks(path: Path, spec: VisualSpec) -> Iterator[_Look]:
    """Each sampled frame, and the first one that comes FLOW_STEP_S after it."""
    with open(path, "rb") as file, open_video(file, threads=1) as video:
        sampler = InstantSampler(sample_fps=spec.sample_fps, time_base=video.time_base)
        scaler, report, due_s = None, DecodeReport(), np.inf
        for timed in timed_frames(video, report):
            scaler = scaler or UprightScaler(timed.image, video.pixel_aspect)
            size = spec.frame_size(scaler.height_px, scaler.width_px)
            time_s = float((timed.pts - (report.first_pts or 0)) * video.time_base)
            is_sampled = sampler.holds_instant(timed.pts, timed.end_pts)
            if is_sampled or time_s >= due_s:
                due_s = time_s + FLOW_STEP_S - TIME_ERROR_S if is_sampled else np.inf
                large = scaler.scale(timed.image, *(FLOW_SCALE * side for side in size))
                yield _Look(
                    time_s=time_s,
                    grey=cv2.cvtColor(large, cv2.COLOR_RGB2GRAY),
                    seen=scaler.scale(timed.image, *size) if is_sampled else None,
                )


def _motion(look: _Look, following: _Look) -> Motion:
    """Mean optical flow in each cell of a sampled frame; none across what may be a cut."""
    rest = _at_rest(look)
    if np.abs(look.grey.astype(np.float32) - following.grey).mean() > CUT_GREY_LEVELS:
        return rest
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    moved_px = flow.calc(look.grey, following.grey, None)[..., ::-1]
    side = FLOW_SCALE * CELL_PX
    rows, columns = (length // side for length in look.grey.shape)
    cells = moved_px[: rows * side, : columns * side].reshape(rows, side, columns, side, 2)
    scale = len(look.grey) * (following.time_s - look.time_s)
    return replace(rest, speeds=cells.mean(axis=(1, 3)).reshape(-1, 2).astype(float) / scale)


def _at_rest(look: _Look) -> Motion:
    assert look.seen is not None
    weights = picture_weights(look.seen)
    height_px, width_px = look.seen.shape[:2]
    down, right = (
        ((np.arange(count) + 0.5) * CELL_PX - length / 2) / height_px
        for count, length in zip(weights.shape, (height_px, width_px), strict=True)
    )
    places = np.stack(np.meshgrid(down, right, indexing="ij"), axis=-1).reshape(-1, 2)
    return Motion(places=places, speeds=np.zeros_like(places), weights=weights.reshape(-1))
