"""Scenes into clips: runs of whole scenes, each of which gets one caption.

A clip ends before the scene that would make it longer or heavier than allowed, and at a cut once it
is long enough to be worth a caption. So clips tile the scenes, and a clip exceeds a limit only
where a single scene does.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.settings import PackingSettings

__all__ = ["ClipPacker", "PackedClip", "SceneRecord"]

START, CUT, LIMIT = "start", "cut", "limit"


@dataclass(frozen=True, kw_only=True)
class SceneRecord:
    """A finished scene.

    Attributes:
        stored: what the model needs of its frames, see ``flexivideo.virtual_frames``.
        picture: its first frame, uint8 RGB, where a thumbnail may be asked for.
        others: as in the ``scenes`` table.
    """

    scene_index: int
    start_pts: int
    end_pts: int
    start_s: float
    end_s: float
    n_frames: int
    cut_delta: float | None
    frame_deltas: list[float]
    stored: NDArray[np.generic]
    picture: NDArray[np.uint8] | None = None


@dataclass(frozen=True, kw_only=True)
class PackedClip:
    """A finished clip.

    Attributes:
        clip_index: 0, 1, ... within the video.
        boundary: why it starts: "start", "cut" or "limit".
        scenes: at least one.
    """

    clip_index: int
    boundary: str
    scenes: list[SceneRecord]


class ClipPacker:
    """Takes the scenes of one video in order and gives each clip as soon as it is closed."""

    def __init__(self, settings: PackingSettings, *, tokens_per_scene: int) -> None:
        self._settings, self._tokens_per_scene = settings, tokens_per_scene
        self._scenes: list[SceneRecord] = []
        self._boundary = START
        self._n_clips = 0

    def push(self, scene: SceneRecord) -> PackedClip | None:
        """Take the next scene; returns the clip that ends before it, if one does."""
        boundary = self._boundary_before(scene)
        closed = None if boundary is None else self._close(boundary)
        # A clip shows the picture of its first scene; the others' would only fill the memory.
        self._scenes.append(replace(scene, picture=None) if self._scenes else scene)
        return closed

    def finish(self) -> PackedClip | None:
        """The last clip; None for a video without scenes."""
        return self._close(START) if self._scenes else None

    def _boundary_before(self, scene: SceneRecord) -> str | None:
        if not self._scenes:
            return None
        settings, begin_s = self._settings, self._scenes[0].start_s
        is_cut = scene.cut_delta is not None and scene.cut_delta >= settings.cut_delta
        if is_cut and scene.start_s - begin_s >= settings.min_clip_s:
            return CUT
        too_long = scene.end_s - begin_s > settings.clip_s
        too_heavy = (len(self._scenes) + 1) * self._tokens_per_scene > settings.max_clip_tokens
        return LIMIT if too_long or too_heavy else None

    def _close(self, next_boundary: str) -> PackedClip:
        clip = PackedClip(clip_index=self._n_clips, boundary=self._boundary, scenes=self._scenes)
        self._scenes, self._boundary = [], next_boundary
        self._n_clips += 1
        return clip
