"""A look into one video, for a plan: what its header says, and a short stretch of it decoded.

Only ranges are read: of an object the blocks that header and stretch lie in, each counted. What is
done to the stretch is what the run would do, by the run's own code and settings.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil
from typing import Any, BinaryIO, Self

import av
import pyarrow as pa

from flexivideo.errors import SourceUnavailable, VideoRejected
from pipeline.clip_stream import VideoFacts, clip_batches
from pipeline.container import OpenVideo, open_video
from pipeline.decode_limits import refuse_long
from pipeline.decode_plan import DecodePlan
from pipeline.fetched_file import Reading
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.sampling import Bounds
from pipeline.source_file import open_source
from pipeline.time_ranges import TimeRange

__all__ = ["GLIMPSE", "STRETCH_S", "VideoGlimpse", "glimpse_rows"]

# What is watched of a video. Scenes are seldom longer, and a second less would show fewer whole.
STRETCH_S = 3.0

# ATS has begun so long before, as it would have in the run; at most so long, where no keyframe is
# nearer to the stretch: then it begins there.
WARM_UP_S, MAX_WARM_UP_S = 2.0, 20.0

# A header lies in one or two of these; four seconds of video in a few.
BLOCK_BYTES, BLOCKS_AHEAD, BUFFER_BYTES = 256 << 10, 2, 64 << 10

# Of a stream that says nothing of its length, its beginning is measured.
MEASURED_BYTES = 2 << 20

MICROSECONDS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class VideoGlimpse:
    """What was seen of a video.

    Attributes:
        error_kind: why it cannot be indexed; None where nothing says that.
        container: short name of the format; None if it could not be opened.
        codec: of the pictures.
        width_px: as a player shows it, before it is turned upright.
        height_px: likewise.
        duration_s: by the header, or by how many bytes its beginning takes; of the range alone.
        fps: frames a second, by the header.
        tokens_per_scene: visual tokens of a scene of that size.
        n_frames_before: sampled frames of the stretch that lie before its place.
        n_frames: sampled frames of the stretch, with those.
        stretch_s: length of what was decoded, seconds.
        cpu_s: CPU time that this took.
        open_cpu_s: CPU time until the header was read.
        n_requests: for ranges of an object.
        n_bytes: in these.
    """

    error_kind: str | None = None
    container: str | None = None
    codec: str | None = None
    width_px: int = 0
    height_px: int = 0
    duration_s: float = 0.0
    fps: float = 0.0
    tokens_per_scene: int = 0
    n_frames_before: int = 0
    n_frames: int = 0
    stretch_s: float = 0.0
    cpu_s: float = 0.0
    open_cpu_s: float = 0.0
    n_requests: int = 0
    n_bytes: int = 0

    @classmethod
    def of(cls, rows: pa.Table) -> Self:
        """The one row of a table of ``GLIMPSE``."""
        return cls(**rows.to_pylist()[0])


_TYPES: dict[Any, pa.DataType] = {int: pa.int64(), float: pa.float64()}

GLIMPSE = pa.schema(
    [
        pa.field(name, _TYPES.get(kind.type, pa.string()), nullable=kind.default is None)
        for name, kind in VideoGlimpse.__dataclass_fields__.items()
    ]
)


def glimpse_rows(
    ref: VideoRef,
    plan: DecodePlan,
    place: float | None,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[pa.RecordBatch]:
    """Clips of a stretch of the video (rows of ``DECODED_SCHEMA``), then one row of ``GLIMPSE``.

    Args:
        ref: which video.
        plan: settings of the run.
        place: where the stretch lies, 0 for the beginning to 1 for the end; None: header alone.
        beat: called at every sign of life.
    """
    began_s = time.process_time()
    reading = Reading(block_bytes=BLOCK_BYTES, blocks_ahead=BLOCKS_AHEAD)
    seen: dict[str, Any] = {}
    limit_mib, store = plan.decode.max_size_mib, plan.store
    try:
        source = open_source(
            plan.unsealed(ref), max_size_mib=limit_mib, store=store, beat=beat, reading=reading
        )
        with source as file:
            seen |= _header(file, plan)
            seen["open_cpu_s"] = time.process_time() - began_s
            whole_s, begin_s = seen["duration_s"], 0.0
            if ref.time_range is not None:
                begin_s = ref.time_range.start_s
                seen["duration_s"] = _within(ref.time_range, whole_s)
            refuse_long(seen["duration_s"], plan.decode)
            if place is not None:
                # What would reach beyond the end begins so much earlier.
                place_s = min(begin_s + place * seen["duration_s"], whole_s - STRETCH_S)
                yield from _stretch(ref, file, plan, max(0.0, place_s), seen, beat)
    except (VideoRejected, SourceUnavailable) as error:
        seen["error_kind"] = str(error.error_kind)
    seen |= {"n_requests": reading.n_requests, "n_bytes": reading.n_bytes}
    yield pa.RecordBatch.from_pylist([asdict(VideoGlimpse(**seen))], schema=GLIMPSE)


def _within(time_range: TimeRange, whole_s: float) -> float:
    length_s = time_range.share_of(whole_s)
    if not length_s:
        raise VideoRejected(ErrorKind.NO_FRAMES, f"no second of {time_range} lies in the video")
    return length_s


def _open(file: BinaryIO, plan: DecodePlan) -> AbstractContextManager[OpenVideo]:
    return open_video(file, threads=plan.threads, limits=plan.decode, buffer_bytes=BUFFER_BYTES)


def _header(file: BinaryIO, plan: DecodePlan) -> dict[str, Any]:
    with _open(file, plan) as video:
        context, stream = video.stream.codec_context, video.stream
        width_px = max(1, round((context.width or 0) * video.pixel_aspect))
        height_px = context.height or 0
        if not height_px:
            raise VideoRejected(
                ErrorKind.NO_FRAMES, "the header names no size; expected that of the pictures"
            )
        duration_s = float((stream.duration or 0) * video.time_base)
        seen = {
            "container": video.format_name,
            "codec": video.codec,
            "width_px": width_px,
            "height_px": height_px,
            "fps": 1 / float(video.frame_step_pts * video.time_base),
            "duration_s": duration_s or (video.container.duration or 0) / MICROSECONDS,
            "tokens_per_scene": plan.spec.tokens_per_scene(height_px, width_px),
        }
    if not seen["duration_s"]:
        with _open(file, plan) as video:
            seen["duration_s"] = _duration_by_bytes(video, file.seek(0, 2))
    if not seen["duration_s"]:
        raise VideoRejected(
            ErrorKind.NO_FRAMES, "the video stream holds no packets; expected at least one"
        )
    return seen


def _duration_by_bytes(video: OpenVideo, size_bytes: int) -> float:
    """Length of a stream that says nothing of it, as if its beginning were all like it."""
    n_packets = n_bytes = 0
    for packet in video.container.demux(video.stream):
        n_packets, n_bytes = n_packets + bool(packet.size), n_bytes + packet.size
        if n_bytes > MEASURED_BYTES:
            break
    n_frames = n_packets * size_bytes / max(n_bytes, 1)
    return float(n_frames * video.frame_step_pts * video.time_base)


def _stretch(
    ref: VideoRef,
    file: BinaryIO,
    plan: DecodePlan,
    place_s: float,
    seen: dict[str, Any],
    beat: Callable[[], None],
) -> Iterator[pa.RecordBatch]:
    """The rows of a stretch whose watched part begins at a place, seconds from the first frame."""
    facts, began_s, before_s = VideoFacts(attempt="glimpse"), time.process_time(), 0.0

    @contextmanager
    def opened() -> Iterator[OpenVideo]:
        with _open(file, plan) as video:
            _seek(video, _at(video, place_s - WARM_UP_S))
            yield video

    def bounds(video: OpenVideo) -> Bounds:
        """From the keyframe that was found to the stretch's end; notes where its part begins."""

        def of(first_pts: int) -> tuple[Fraction, Fraction]:
            nonlocal before_s
            warm_pts = first_pts + round(MAX_WARM_UP_S / video.time_base)
            begin_pts = max(first_pts, min(_at(video, place_s), warm_pts))
            before_s = float((begin_pts - first_pts) * video.time_base)
            return Fraction(first_pts), begin_pts + Fraction(STRETCH_S) / video.time_base

        return of

    video = yield from clip_batches(ref, opened, bounds, plan, facts, beat)
    if facts.start_pts is None:
        raise VideoRejected(ErrorKind.NO_FRAMES, "nothing of a stretch decodes; expected frames")
    seen["stretch_s"] = float((facts.report.end_pts - facts.start_pts) * video.time_base)
    seen["tokens_per_scene"], seen["n_frames"] = facts.tokens_per_scene, facts.n_frames_sampled
    seen["n_frames_before"] = ceil(facts.n_frames_sampled * before_s / seen["stretch_s"] - 1e-6)
    seen["cpu_s"] = time.process_time() - began_s


def _at(video: OpenVideo, place_s: float) -> int:
    """The place in ticks."""
    return (video.stream.start_time or 0) + round(place_s / float(video.time_base))


def _seek(video: OpenVideo, pts: int) -> None:
    """To the keyframe before, where the container can; else to where it is."""
    with suppress(av.error.FFmpegError):
        if pts > (video.stream.start_time or 0):
            video.container.seek(pts, stream=video.stream)
