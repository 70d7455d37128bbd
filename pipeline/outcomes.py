"""How a video or a caption can end: the closed sets of the dataset's contract.

Every listed input ends with exactly one :class:`Status`; an ``error_kind`` says what was at fault.
Which of them a later run tries again is in :mod:`pipeline.retry`.
"""

from enum import StrEnum

__all__ = ["CaptionStatus", "ErrorKind", "Status"]


class Status(StrEnum):
    """Terminal status of a video."""

    SUCCESS = "success"  # all of it was read, segmented, captioned
    PARTIAL = "partial"  # some could be read; the tables hold that part
    FAILED = "failed"  # nothing could be read, and trying again cannot help
    UNAVAILABLE = "unavailable"  # the store refused, lost or changed it; a later run tries again
    QUARANTINED = "quarantined"  # took its worker down, or ran out of time or memory, at every try
    SKIPPED = "skipped"  # the settings exclude it (too long, too large)


class ErrorKind(StrEnum):
    """What was at fault."""

    EMPTY = "empty"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_FRAMES = "no_frames"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    ENCRYPTED = "encrypted"
    UNSUPPORTED_CODEC = "unsupported_codec"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    SOURCE_MISSING = "source_missing"
    SOURCE_DENIED = "source_denied"
    SOURCE_CHANGED = "source_changed"
    SOURCE_UNAVAILABLE = "source_unavailable"
    MODEL_ERROR = "model_error"


class CaptionStatus(StrEnum):
    """How one clip's caption ended."""

    SUCCESS = "success"
    TRUNCATED = "truncated"  # the token limit came before the end of the text
    ERROR = "error"
    SKIPPED = "skipped"
