"""From a stretch of a video to what the whole of it would give, if all of it were like that.

The stretch's scene boundaries are repeated for the length of the video, and its scenes packed into
clips by the run's own packer: so limits, short videos and last clips count as they will.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np

from pipeline.clip_packing import ClipPacker, PackedClip, SceneRecord
from pipeline.decode_plan import DecodePlan
from pipeline.glimpse import VideoGlimpse

__all__ = ["LikeStretch", "like_stretch"]

# Of a longer video so much is packed, and the rest is taken to be as much more.
MOST_FRAMES = 4096

NO_PIXELS = np.empty(0, np.uint8)


@dataclass(frozen=True, kw_only=True)
class LikeStretch:
    """A video that is like its stretch throughout.

    Attributes:
        n_scenes: of the whole video.
        clips: scenes of each clip, of ``1 / times`` of the video.
        times: how often these make the whole.
    """

    n_scenes: float
    clips: Sequence[int]
    times: float

    @property
    def n_clips(self) -> float:
        """Of the whole video."""
        return len(self.clips) * self.times


def like_stretch(
    scenes: Sequence[Mapping[str, Any]], seen: VideoGlimpse, plan: DecodePlan
) -> LikeStretch:
    """What a video gives that is like a stretch of it.

    Args:
        scenes: those of the stretch (rows of ``SCENE_TYPE``), from where its decode began.
        seen: what else was seen of the video.
        plan: settings of the run.
    """
    if not scenes:
        return LikeStretch(n_scenes=0.0, clips=(), times=1.0)
    # Where frames are rarer than instants, a frame stands for several.
    per_frame_s = max(1 / plan.segmentation.sample_fps, seen.stretch_s / seen.n_frames)
    is_whole = not seen.n_frames_before and seen.stretch_s + per_frame_s >= seen.duration_s
    n_frames = seen.n_frames if is_whole else max(1, ceil(seen.duration_s / per_frame_s))
    n_packed = min(n_frames, MOST_FRAMES)
    starts = list(_starts(scenes, seen, n_packed, plan.segmentation.max_scene_frames))
    packer = ClipPacker(plan.packing, tokens_per_scene=seen.tokens_per_scene)
    closed = [packer.push(scene) for scene in _scenes(starts, n_packed, per_frame_s)]
    clips = [clip for clip in (*closed, packer.finish()) if clip is not None]
    times = n_frames / n_packed
    return LikeStretch(n_scenes=len(starts) * times, clips=_sizes(clips), times=times)


def _starts(
    scenes: Sequence[Mapping[str, Any]], seen: VideoGlimpse, n_frames: int, cap: int
) -> Iterator[tuple[int, float | None]]:
    """Frames at which scenes start, from 0, each with its difference to the frame before."""
    first = max(1, seen.n_frames_before)  # of a stretch's first frame nobody knows what was before
    length, pattern, place = seen.n_frames - first, [], 0
    for before, scene in pairwise(scenes):
        place += before["n_frames"]
        # One that the cap ended says nothing of the pictures; it comes in again below.
        if place >= first and before["n_frames"] < cap:
            pattern.append((place - first + 1, scene["cut_delta"]))
    at, cut_delta = 0, None
    for turn in range(0, n_frames, length) if length and pattern else ():
        for offset, delta in pattern:
            if turn + offset >= n_frames:
                break
            yield from _capped(at, turn + offset, cut_delta, cap)
            at, cut_delta = turn + offset, delta
    yield from _capped(at, n_frames, cut_delta, cap)


def _capped(
    start: int, end: int, cut_delta: float | None, cap: int
) -> Iterator[tuple[int, float | None]]:
    yield start, cut_delta
    yield from ((place, 0.0) for place in range(start + cap, end, cap))


def _scenes(
    starts: Sequence[tuple[int, float | None]], n_frames: int, per_frame_s: float
) -> Iterator[SceneRecord]:
    ends = [*(start for start, _ in starts[1:]), n_frames]
    for index, ((start, cut_delta), end) in enumerate(zip(starts, ends, strict=True)):
        yield SceneRecord(
            scene_index=index,
            start_pts=start,
            end_pts=end,
            start_s=start * per_frame_s,
            end_s=end * per_frame_s,
            n_frames=end - start,
            cut_delta=cut_delta,
            frame_deltas=[],
            stored=NO_PIXELS,
        )


def _sizes(clips: Sequence[PackedClip]) -> list[int]:
    return [len(clip.scenes) for clip in clips]
