"""Frames in presentation order, each with a timestamp, from whatever the file holds.

Damage is counted, not raised: a packet that does not decode costs its frames and no more. Missing
timestamps are taken from the decoder's order of output, else made up from the frame before and its
duration, as backward ones are, and the report says that this was done.
"""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
from av.packet import Packet
from av.video.frame import VideoFrame

from pipeline.container import MOST_STEP_TICKS, OpenVideo
from pipeline.decode_limits import refuse_large
from pipeline.shortage import is_short

__all__ = ["MOST_TICKS", "DecodeReport", "TimedFrame", "frame_duration", "timed_frames"]

# A time beyond this is damage: with durations added it would not be a number of 64 bits.
MOST_TICKS = 2**62

# What a decoder may ask for at once: two frames of two bytes a pixel.
BYTES_A_PIXEL = 4

# A decoder that has failed this often in a row will not recover; going on would only cost time.
MAX_FAILURES_IN_A_ROW = 500


@dataclass(frozen=True, kw_only=True)
class TimedFrame:
    """A decoded frame and the half-open time it is on the screen.

    Attributes:
        image: PyAV's frame, not converted.
        pts: presentation, ticks.
        end_pts: presentation of the next frame, or the end of the last one, ticks.
    """

    image: VideoFrame
    pts: int
    end_pts: int


@dataclass(kw_only=True)
class DecodeReport:
    """What a decode met; filled in as it goes.

    Attributes:
        n_frames: frames decoded.
        n_corrupt: of these, how many the decoder flagged as damaged.
        n_failures: packets that did not decode at all, and breaks of the container.
        n_refused: of these failures, how many were memory that was refused.
        last_failure: what the last of them said.
        synthesised: whether any presentation time was missing or ran back.
        first_pts: the video's first frame's presentation; None before it.
        end_pts: end of the last frame that was handed on.
        left_early: whether there was more, which was not asked for.
    """

    n_frames: int = 0
    n_corrupt: int = 0
    n_failures: int = 0
    n_refused: int = 0
    last_failure: str = ""
    synthesised: bool = False
    first_pts: int | None = None
    end_pts: int = 0
    left_early: bool = False


def timed_frames(
    video: OpenVideo, report: DecodeReport, beat: Callable[[], None] = lambda: None
) -> Iterator[TimedFrame]:
    """Every frame from where the container stands, one frame behind the decoder.

    Args:
        video: open.
        report: counts what is met.
        beat: called for every packet and frame: signs of life.

    Raises:
        VideoRejected: too_large.
    """
    waiting: tuple[VideoFrame, int] | None = None
    for image in _images(video, report, beat):
        pts = _pts(image, waiting, video, report)
        if report.first_pts is None:
            report.first_pts = pts
        if waiting is not None:
            yield TimedFrame(image=waiting[0], pts=waiting[1], end_pts=pts)
        waiting = (image, pts)
        report.end_pts = pts + frame_duration(image, video)
    if waiting is not None:
        yield TimedFrame(image=waiting[0], pts=waiting[1], end_pts=report.end_pts)


def _images(
    video: OpenVideo, report: DecodeReport, beat: Callable[[], None]
) -> Iterator[VideoFrame]:
    failures_in_a_row = 0
    packets = video.container.demux(video.stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except IndexError:  # a stream that the header did not name: go on behind its packet
            packets = video.container.demux(video.stream)
            continue
        except av.error.FFmpegError as error:  # the container itself breaks off
            _count_failure(report, error, video)
            failures_in_a_row += 1
            if error.errno != errno.EAGAIN or failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                return
            packets = video.container.demux(video.stream)  # it lost its place, and asks to go on
            continue
        beat()
        try:
            images = packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            if error.errno == errno.EAGAIN:  # no thread could be started: nothing will decode
                raise MemoryError(f"the decoder could not start: {error}") from error
            _count_failure(report, error, video)
            failures_in_a_row += 1
            if failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                return
            continue
        for image in images:
            failures_in_a_row = 0
            report.n_frames += 1
            report.n_corrupt += bool(image.is_corrupt)
            beat()
            refuse_large(image.width, image.height, video.limits)
            yield image


def _pts(
    image: VideoFrame,
    before: tuple[VideoFrame, int] | None,
    video: OpenVideo,
    report: DecodeReport,
) -> int:
    # A container without presentation times knows when a frame leaves the decoder.
    pts = image.dts if image.pts is None else image.pts
    if pts is not None and abs(pts) > MOST_TICKS:
        pts = None
    if image.pts is None or pts is None:
        report.synthesised = True
    if before is None:
        return pts or 0
    if pts is None or pts <= before[1]:
        report.synthesised = True
        return before[1] + frame_duration(before[0], video)
    return pts


def frame_duration(image: VideoFrame | Packet, video: OpenVideo) -> int:
    """How long a frame is on the screen, ticks, as far as it or its packet says so itself."""
    # Demuxers that know no duration leave none, or a single tick.
    duration = image.duration or 0
    return duration if 1 < duration <= MOST_STEP_TICKS else video.frame_step_pts


def _count_failure(report: DecodeReport, error: av.error.FFmpegError, video: OpenVideo) -> None:
    report.n_failures += 1
    context = video.stream.codec_context
    asked_bytes = BYTES_A_PIXEL * (context.width or 0) * (context.height or 0)
    # A container that wants to be asked again is short of nothing.
    report.n_refused += error.errno != errno.EAGAIN and is_short(error, asked_bytes=asked_bytes)
    report.last_failure = error.strerror or type(error).__name__
