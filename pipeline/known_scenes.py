"""Scenes that are known before decoding, in place of ATS: the same frames, the same scenes.

What a dataset stores of a video's scenes is enough to cut its sampled frames again, whichever model
looks at them next.
"""

from collections.abc import Sequence

from flexivideo.errors import SourceUnavailable
from flexivideo.segmentation import FrameStep
from pipeline.outcomes import ErrorKind
from pipeline.records import KnownScene

__all__ = ["KnownScenes"]


class KnownScenes:
    """Steps through a video's frames as its stored scenes say."""

    def __init__(self, scenes: Sequence[KnownScene]) -> None:
        self._scenes, self._scene, self._n_frames = scenes, -1, 0

    def push(self, pts: int) -> FrameStep:
        """Take the next sampled frame, by its presentation time in ticks.

        Raises:
            SourceUnavailable: if these are not the frames that the scenes were made of.
        """
        following = self._scene + 1
        is_full = self._scene < 0 or self._n_frames == self._scenes[self._scene].n_frames
        starts = following < len(self._scenes) and pts == self._scenes[following].start_pts
        if is_full != starts:
            raise self._changed(f"the frame at {pts} ticks begins or ends none of them")
        if starts:
            self._scene, self._n_frames = following, 0
        scene = self._scenes[self._scene]
        self._n_frames += 1
        return FrameStep(
            starts_scene=starts,
            delta=scene.frame_deltas[self._n_frames - 1],
            cut_delta=scene.cut_delta if starts else None,
        )

    def finish(self) -> None:
        """See that all scenes were met.

        Raises:
            SourceUnavailable: if the video ended before them.
        """
        last = len(self._scenes) - 1
        if self._scene != last or self._n_frames != self._scenes[last].n_frames:
            raise self._changed(f"the frames end in scene {self._scene}")

    def _changed(self, how: str) -> SourceUnavailable:
        return SourceUnavailable(
            ErrorKind.SOURCE_CHANGED,
            f"the sampled frames are not those of the {len(self._scenes)} stored scenes: {how}; "
            f"index the video again",
        )
