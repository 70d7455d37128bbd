"""The frames of a video that are looked at, by one of two ways that give the same.

The plain way decodes everything; the other skips what nobody needs (``pipeline.skipping``) and may
find in the middle that it cannot: whoever asked then opens the video anew and goes the plain way.
"""

from collections.abc import Callable, Iterator

from pipeline.coded_frames import SKIPPABLE_CODECS
from pipeline.container import OpenVideo
from pipeline.decode import DecodeReport, TimedFrame, timed_frames
from pipeline.sampling import InstantSampler
from pipeline.skipping import SkippingDecoder

__all__ = ["sampled_frames"]


def sampled_frames(
    video: OpenVideo,
    sampler: InstantSampler,
    report: DecodeReport,
    beat: Callable[[], None] = lambda: None,
    *,
    may_skip: bool,
) -> Iterator[TimedFrame]:
    """The frames that a sampler wants.

    Args:
        video: just opened, or led to a keyframe.
        sampler: which frames.
        report: counts what is met. Skipped frames are not met, nor what is wrong with them.
        beat: called at every sign of life.
        may_skip: whether to decode only what is needed.

    Raises:
        Untrue: if that cannot be done; the frames so far are those of the plain way.
        VideoRejected: too_large.
    """
    if may_skip and video.codec in SKIPPABLE_CODECS:
        yield from SkippingDecoder(video, sampler, report, beat).frames()
        return
    for frame in timed_frames(video, report, beat):
        if sampler.holds_instant(frame.pts, frame.end_pts):
            yield frame
        if sampler.over_pts is not None:
            report.end_pts, report.left_early = sampler.over_pts, True
            return
