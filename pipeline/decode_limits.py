"""What a video may be at most, before anything is done that its size would decide.

A header of a few bytes can claim streams, sides and hours that no machine has room for. What it
claims is held against the settings as soon as it is known, and what comes out of the decoder again,
since a stream may change its size.
"""

from flexivideo.errors import VideoRejected
from pipeline.decode_settings import DecodeSettings
from pipeline.outcomes import ErrorKind

__all__ = ["refuse_large", "refuse_long", "refuse_streams"]


def refuse_streams(n_streams: int, limits: DecodeSettings) -> None:
    """Refuse a container of more streams than the settings allow.

    Raises:
        VideoRejected: too_large.
    """
    if n_streams > limits.max_streams:
        raise VideoRejected(
            ErrorKind.TOO_LARGE,
            f"the container holds at least {n_streams:,} streams; max_streams is "
            f"{limits.max_streams:,}",
        )


def refuse_large(width_px: int, height_px: int, limits: DecodeSettings) -> None:
    """Refuse frames, as they are stored, that are larger than the settings allow.

    Raises:
        VideoRejected: too_large.
    """
    if max(width_px, height_px) > limits.max_side_px:
        limit = f"max_side_px is {limits.max_side_px:,}"
    elif width_px * height_px > limits.max_frame_pixels:
        limit = f"max_frame_pixels is {limits.max_frame_pixels:,}"
    else:
        return
    raise VideoRejected(
        ErrorKind.TOO_LARGE, f"the frames are of {width_px:,} x {height_px:,} px; {limit}"
    )


def refuse_long(duration_s: float | None, limits: DecodeSettings) -> None:
    """Refuse a video that is longer than the settings allow.

    Raises:
        VideoRejected: too_long.
    """
    if duration_s is not None and duration_s > limits.max_duration_s:
        raise VideoRejected(
            ErrorKind.TOO_LONG,
            f"the video lasts at least {duration_s:,.1f} s; max_duration_s is "
            f"{limits.max_duration_s:,.12g}",
        )
