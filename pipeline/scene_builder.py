"""Sampled frames into finished scenes, with what the model and a thumbnail need of them.

A frame is scaled twice: for ATS to a size of its own, so that scenes do not depend on the model,
and to the size at which the model sees it. One scene's frames are in memory at a time.
"""

from collections.abc import Sequence

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from flexivideo.frame_size import smart_resize
from flexivideo.segmentation import SceneSegmenter
from flexivideo.virtual_frames import stored_frames
from pipeline.clip_packing import SceneRecord
from pipeline.container import OpenVideo
from pipeline.decode import DecodeReport
from pipeline.decode_plan import DecodePlan
from pipeline.encryption import NOISE_MAX_CONTRAST
from pipeline.known_scenes import KnownScenes
from pipeline.orientation import UprightScaler
from pipeline.records import KnownScene

__all__ = ["SceneBuilder", "ats_size"]

# Chroma is often halved, so the sides are kept even for ATS.
ATS_FACTOR = 2


class SceneBuilder:
    """The scenes of one video.

    Attributes:
        tokens_per_scene: visual tokens of a scene.
        contrast: largest standard deviation of a frame so far, grey levels; not followed beyond
            what noise has.
    """

    def __init__(
        self,
        scaler: UprightScaler,
        video: OpenVideo,
        report: DecodeReport,
        plan: DecodePlan,
        known: Sequence[KnownScene] | None = None,
    ) -> None:
        """Set up for one video: segmented by ATS, or into the scenes that are known."""
        self._scaler, self._video, self._report, self._plan = scaler, video, report, plan
        sides = scaler.height_px, scaler.width_px
        self._model_size = plan.spec.frame_size(*sides)
        self._ats_size = ats_size(*sides, plan.segmentation.ats_side_px)
        self.tokens_per_scene = plan.spec.tokens_per_scene(*sides)
        self.contrast = 0.0
        self._segmenter = SceneSegmenter(
            tau=plan.segmentation.tau,
            max_scene_frames=plan.segmentation.max_scene_frames,
            stride=plan.segmentation.ats_stride,
        )
        self._known = KnownScenes(known) if known is not None else None
        self._frames: list[NDArray[np.uint8]] = []
        self._deltas: list[float] = []
        self._cut_delta: float | None = None
        self._start_pts = 0
        self._n_scenes = 0
        self._picture: NDArray[np.uint8] | None = None

    def push(self, image: VideoFrame, pts: int) -> SceneRecord | None:
        """Take a sampled frame; returns the scene that ended before it, if one did."""
        analysed = self._scaler.scale(image, *self._ats_size)
        step = self._known.push(pts) if self._known else self._segmenter.push(analysed)
        if self.contrast <= NOISE_MAX_CONTRAST:
            stride = self._plan.segmentation.ats_stride
            self.contrast = max(self.contrast, float(analysed[::stride, ::stride].std()))
        finished = None
        if step.starts_scene:
            finished = self._close(pts) if self._frames else None
            self._frames, self._deltas = [], []
            self._cut_delta, self._start_pts = step.cut_delta, pts
            self._picture = analysed if self._plan.decode.thumbnails else None
        self._frames.append(
            analysed
            if self._model_size == self._ats_size
            else self._scaler.scale(image, *self._model_size)
        )
        self._deltas.append(step.delta)
        return finished

    def finish(self) -> SceneRecord:
        """The last scene: it reaches to the end of the last decoded frame."""
        if self._known:
            self._known.finish()
        return self._close(self._report.end_pts)

    def _close(self, end_pts: int) -> SceneRecord:
        spec, first_pts = self._plan.spec, self._report.first_pts or 0
        tick_s = self._video.time_base
        scene = SceneRecord(
            scene_index=self._n_scenes,
            start_pts=self._start_pts,
            end_pts=end_pts,
            start_s=float((self._start_pts - first_pts) * tick_s),
            end_s=float((end_pts - first_pts) * tick_s),
            n_frames=len(self._frames),
            cut_delta=self._cut_delta,
            frame_deltas=self._deltas,
            stored=stored_frames(
                np.stack(self._frames), mode=spec.temporal_resample, t_init=spec.t_init
            ),
            picture=self._picture,
        )
        self._n_scenes += 1
        return scene


def ats_size(height_px: int, width_px: int, side_px: int) -> tuple[int, int]:
    """Size for ATS: an area of side_px squared at most; a smaller video's own, made even."""
    return smart_resize(
        height_px,
        width_px,
        factor=ATS_FACTOR,
        min_pixels=ATS_FACTOR**2,
        max_pixels=max(side_px**2, ATS_FACTOR**2),
    )
