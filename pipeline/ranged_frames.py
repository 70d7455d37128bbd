"""The frames of a time range: decoded from the keyframe before it, or from the beginning."""

import math
from collections.abc import Callable, Iterator
from itertools import chain

import av

from pipeline.container import OpenVideo
from pipeline.decode import DecodeReport, TimedFrame, timed_frames
from pipeline.time_ranges import TimeRange

__all__ = ["SeekMissed", "ranged_frames"]

# Containers that store the time of each frame. In others a frame's time is made up from those
# before it, and comes out otherwise where decoding begins in the middle.
EXACT = frozenset({"mov", "matroska"})

# Seeking costs about as much as decoding this.
WORTH_A_SEEK_S = 5

# Containers seek by when a keyframe is decoded, and it is shown a little later.
REORDERED_S = 1


class SeekMissed(Exception):
    """The container led to a later place than it was asked for, or to none."""


def ranged_frames(
    video: OpenVideo,
    time_range: TimeRange | None,
    report: DecodeReport,
    beat: Callable[[], None] = lambda: None,
    *,
    may_seek: bool = True,
) -> Iterator[TimedFrame]:
    """The frames that are on the screen in a range, whole ones; of no range, all of the video.

    Args:
        video: just opened.
        time_range: which part of it; None: all.
        report: counts what is met, also on the way to the range.
        beat: called at every sign of life.
        may_seek: whether what lies before the range may be skipped.

    Raises:
        SeekMissed: before the first frame; the video is to be opened anew, and not to be sought in.
    """
    frames = timed_frames(video, report, beat)
    if time_range is None:
        yield from frames
        return
    first = next(frames, None)
    if first is None:
        return
    start_pts, end_pts = time_range.bounds(first.pts, video.time_base)
    frames = chain([first], frames)
    is_far = (start_pts - first.pts) * video.time_base > WORTH_A_SEEK_S
    if may_seek and is_far and video.format_name in EXACT:
        frames = _from_keyframe(video, math.floor(start_pts), report, beat)
    for frame in frames:
        if end_pts is not None and frame.pts >= end_pts:
            report.end_pts, report.left_early = frame.pts, True
            return
        if frame.end_pts > start_pts:
            yield frame


def _from_keyframe(
    video: OpenVideo, pts: int, report: DecodeReport, beat: Callable[[], None]
) -> Iterator[TimedFrame]:
    """The frames from a keyframe on that is shown at a place or before it."""
    before = pts - math.ceil(REORDERED_S / video.time_base)
    try:
        video.container.seek(before, stream=video.stream)
    except av.error.FFmpegError as error:
        raise SeekMissed from error
    frames = timed_frames(video, report, beat)
    first = next(frames, None)
    if first is None or first.pts > pts or report.synthesised:
        raise SeekMissed
    return chain([first], frames)
