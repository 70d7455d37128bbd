"""Adaptive temporal segmentation (ATS): where one visually stable scene ends and the next begins.

A frame belongs to the running scene while its difference to the scene's first frame is at most tau;
the first frame beyond starts a new scene and becomes its reference. Scenes are half-open and tile
the frames. A scene also ends at ``max_scene_frames``, so that a still day is not one token row.

Shapes: T frames, H, W pixels, 3 RGB.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameStep", "Scene", "SceneSegmenter", "frame_difference", "segment"]

IMAGENET_STD = (0.229, 0.224, 0.225)

# Normalisation, folded: the mean cancels in a difference, and the three divisors go into one
# weight a channel of the squared grey-level difference.
_WEIGHTS = (1.0 / (255.0 * np.array(IMAGENET_STD)) ** 2).astype(np.float32)

Frame = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class FrameStep:
    """What a frame did.

    Attributes:
        starts_scene: whether a new scene begins with it.
        delta: difference to its scene's first frame; 0 for that frame itself.
        cut_delta: difference to the frame before, for a frame that starts a scene; None for any
            other, and for the very first.
    """

    starts_scene: bool
    delta: float
    cut_delta: float | None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A half-open run of frames [start, end), with each frame's difference to the first."""

    start: int
    end: int
    cut_delta: float | None
    frame_deltas: tuple[float, ...]


def frame_difference(frame_HWC: Frame, reference_HWC: Frame, *, stride: int = 1) -> float:
    """The paper's Delta: mean over pixels of the L2 norm over channels, ImageNet-normalised.

    Args:
        frame_HWC: uint8 RGB [H, W, 3].
        reference_HWC: the same size.
        stride: compare every n-th pixel of every n-th row.
    """
    return _difference(_reduced(frame_HWC, stride), _reduced(reference_HWC, stride))


class SceneSegmenter:
    """Segments a stream of frames, each seen once; keeps two reduced frames and nothing else."""

    def __init__(self, *, tau: float, max_scene_frames: int = 64, stride: int = 1) -> None:
        """Set up for one video.

        Args:
            tau: largest difference to the scene's first frame (the paper: 0.2).
            max_scene_frames: longest scene, frames.
            stride: see :func:`frame_difference`.

        Raises:
            ValueError: if an argument is out of its range.
        """
        if not (isfinite(tau) and tau >= 0):
            raise ValueError(f"tau is {tau}; expected a finite number, 0 or above")
        if max_scene_frames < 1 or stride < 1:
            raise ValueError(
                f"max_scene_frames is {max_scene_frames} and stride is {stride}; "
                f"expected both at least 1"
            )
        self._tau, self._max_scene_frames, self._stride = tau, max_scene_frames, stride
        self._reference: NDArray[np.float32] | None = None
        self._previous: NDArray[np.float32] | None = None
        self._n_frames = 0  # of the running scene

    def push(self, frame_HWC: Frame) -> FrameStep:
        """Take the next frame, uint8 RGB [H, W, 3].

        Raises:
            ValueError: if it is no such frame, or not of the size of those before.
        """
        frame = _reduced(frame_HWC, self._stride)
        previous, self._previous = self._previous, frame
        if self._reference is None or previous is None:
            return self._start(frame, cut_delta=None)
        delta = _difference(frame, self._reference)
        if delta > self._tau or self._n_frames >= self._max_scene_frames:
            return self._start(frame, cut_delta=_difference(frame, previous))
        self._n_frames += 1
        return FrameStep(starts_scene=False, delta=delta, cut_delta=None)

    def _start(self, frame: NDArray[np.float32], *, cut_delta: float | None) -> FrameStep:
        self._reference, self._n_frames = frame, 1
        return FrameStep(starts_scene=True, delta=0.0, cut_delta=cut_delta)


def segment(
    frames_THWC: Iterable[Frame], *, tau: float, max_scene_frames: int = 64, stride: int = 1
) -> list[Scene]:
    """Scenes of frames that are all there; see :class:`SceneSegmenter`.

    Raises:
        ValueError: if there is no frame, or as the segmenter does.
    """
    segmenter = SceneSegmenter(tau=tau, max_scene_frames=max_scene_frames, stride=stride)
    steps = [segmenter.push(frame) for frame in frames_THWC]
    if not steps:
        raise ValueError("no frame came; expected at least one")
    starts = [index for index, step in enumerate(steps) if step.starts_scene]
    return [
        Scene(
            start=start,
            end=end,
            cut_delta=steps[start].cut_delta,
            frame_deltas=tuple(step.delta for step in steps[start:end]),
        )
        for start, end in zip(starts, [*starts[1:], len(steps)], strict=True)
    ]


def _reduced(frame_HWC: Frame, stride: int) -> NDArray[np.float32]:
    if frame_HWC.dtype != np.uint8 or frame_HWC.ndim != 3 or frame_HWC.shape[2] != 3:
        raise ValueError(
            f"a frame is {frame_HWC.dtype} {frame_HWC.shape}; expected uint8 (height, width, 3)"
        )
    return frame_HWC[::stride, ::stride].astype(np.float32)


def _difference(frame: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    if frame.shape != reference.shape:
        raise ValueError(
            f"a frame is {frame.shape} where those before were {reference.shape}; "
            f"expected one size within a video"
        )
    distance = frame - reference
    distance *= distance
    return float(np.sqrt(distance @ _WEIGHTS).mean())
