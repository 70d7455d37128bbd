"""Opening a file as a video: which container, which stream, what its header says.

A file is opened as an open file, never by its name, so no name can be taken for a protocol or an
option; and never as a format that reads other files (playlists, concatenation scripts), whatever
its content says.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from flexivideo.errors import VideoRejected
from pipeline.decode_limits import refuse_large, refuse_streams
from pipeline.decode_settings import DecodeSettings
from pipeline.encryption import is_encrypted
from pipeline.outcomes import ErrorKind
from pipeline.shortage import raise_if_short

__all__ = ["MOST_STEP_TICKS", "OpenVideo", "open_video"]

# Formats that name other files or addresses, and devices.
REFERRING_FORMATS = frozenset(
    "applehttp concat dash hls image2 imf lavfi rtp rtsp sap sdp vobsub webm_dash_manifest".split()
)

# ... and should one of the others try to: no address can be opened, not even a path.
NO_PROTOCOL = "none"


# One picture is no video: what ffmpeg calls a pipe of images is a renamed picture.
PICTURE_FORMATS_SUFFIX = "_pipe"

# Containers whose header gives a stream the length of the longest one, or a guess; what is missing
# of them shows in their size.
NO_LENGTH_OF_STREAMS = frozenset({"asf", "avi"})

# A pixel can be a little wider than high, or higher than wide; beyond this its aspect is damage.
MOST_PIXEL_ASPECT = 16

# Ten hours in the finest time bases, years in the others; a frame that is to last longer is damage.
MOST_STEP_TICKS = 2**45

BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class OpenVideo:
    """A container that is open, and the stream that is watched.

    Attributes:
        container: PyAV's container.
        stream: its video stream.
        format_name: the container's short name.
        codec: the codec's name.
        time_base: seconds a pts tick.
        pixel_aspect: width of a pixel over its height.
        claimed_duration_s: what the header says of the stream's length; None where it is silent.
        frame_step_pts: usual distance of two frames, at least one tick.
        limits: what may come out of it.
    """

    container: InputContainer
    stream: VideoStream
    format_name: str
    codec: str
    time_base: Fraction
    pixel_aspect: Fraction
    claimed_duration_s: float | None
    frame_step_pts: int
    limits: DecodeSettings


@contextmanager
def open_video(
    file: BinaryIO,
    *,
    threads: int,
    limits: DecodeSettings = DecodeSettings(),
    buffer_bytes: int = BUFFER_BYTES,
) -> Iterator[OpenVideo]:
    """Open a seekable file for decoding.

    Args:
        file: the video.
        threads: decoder threads.
        limits: what it may be at most.
        buffer_bytes: what is read at a time; less where a part of it is enough.

    Raises:
        VideoRejected: not_a_video, no_video_stream, encrypted, unsupported_codec or too_large.
    """
    if is_encrypted(file):
        raise VideoRejected(
            ErrorKind.ENCRYPTED,
            "the video track is encrypted; expected it in the clear: decrypt it",
        )
    file.seek(0)
    try:
        container = av.open(
            _ForLibav(file),
            mode="r",
            metadata_errors="replace",
            buffer_size=buffer_bytes,
            options={
                "format_whitelist": ",".join(_allowed_formats()),
                "protocol_whitelist": NO_PROTOCOL,
                "max_streams": str(limits.max_streams + 1),
                "fflags": "-genpts",  # PyAV asks for it: an avi's B-frames would go back in time
            },
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise_if_short(error)
        if isinstance(error, MemoryError):  # beside room enough: libav says so of streams too
            raise VideoRejected(
                ErrorKind.TOO_LARGE,
                f"the header asks for more streams than max_streams, {limits.max_streams:,}, or "
                f"for more memory at once than libav gives; expected less of both",
            ) from error
        raise VideoRejected(
            ErrorKind.NOT_A_VIDEO,
            f"no container format was recognised ({_reason(error)}); expected a video file",
        ) from error
    with container:
        format_name = container.format.name
        if format_name.endswith(PICTURE_FORMATS_SUFFIX):
            raise VideoRejected(
                ErrorKind.NOT_A_VIDEO, f"the file is a picture ({format_name}); expected a video"
            )
        refuse_streams(len(container.streams), limits)
        stream = _video_stream(container)
        context = stream.codec_context
        refuse_large(context.width or 0, context.height or 0, limits)
        context.thread_count = threads
        context.thread_type = "AUTO" if threads > 1 else "NONE"
        yield _describe(container, stream, format_name, limits)


class _ForLibav:
    """A file as libav asks for it: a place that is none is an answer there, not an exception."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.tell = file.read, file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """The new place; negative where there is none such."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):  # before the first byte, as broken indices want
            return -errno.EINVAL


def _video_stream(container: InputContainer) -> VideoStream:
    """The stream a player would show: one that moves, the default, the largest; never cover art."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        raise VideoRejected(
            ErrorKind.NO_VIDEO_STREAM,
            f"the file has {len(container.streams)} streams and no video among them; "
            f"expected a video stream",
        )
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if not decodable:
        raise VideoRejected(
            ErrorKind.UNSUPPORTED_CODEC,
            "no decoder is known for the video's codec; expected one that ffmpeg decodes: "
            "transcode it",
        )
    return max(
        decodable,
        key=lambda stream: (
            stream.frames != 1,  # phones store a still beside the film
            bool(stream.disposition & av.stream.Disposition.default),
            (stream.codec_context.width or 0) * (stream.codec_context.height or 0),
            -stream.index,
        ),
    )


def _describe(
    container: InputContainer, stream: VideoStream, format_name: str, limits: DecodeSettings
) -> OpenVideo:
    time_base = stream.time_base or Fraction(1, 90_000)
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return OpenVideo(
        container=container,
        stream=stream,
        format_name=format_name.split(",")[0],
        codec=stream.codec_context.name,
        time_base=time_base,
        pixel_aspect=aspect if aspect and _is_likely(aspect) else Fraction(1),
        claimed_duration_s=(
            float(stream.duration * time_base)
            if stream.duration and format_name not in NO_LENGTH_OF_STREAMS
            else None
        ),
        frame_step_pts=min(max(1, round(1 / (rate * time_base))), MOST_STEP_TICKS),
        limits=limits,
    )


def _is_likely(aspect: Fraction) -> bool:
    return Fraction(1, MOST_PIXEL_ASPECT) <= aspect <= MOST_PIXEL_ASPECT


def _allowed_formats() -> list[str]:
    return sorted(
        name
        for names in av.formats_available
        for name in names.split(",")
        if name not in REFERRING_FORMATS
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
