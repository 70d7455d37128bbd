"""What a video's decode amounts to: from what was met to status, error kind and a sentence.

Each sentence says what was received, what was expected and what to do about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flexivideo.errors import SourceUnavailable, VideoRejected
from pipeline.decode import DecodeReport
from pipeline.outcomes import ErrorKind, Status

__all__ = [
    "Verdict",
    "lost_rows",
    "outcome_of",
    "quarantine",
    "range_missed",
    "verdict_of_decode",
    "verdict_of_error",
    "verdict_with_captions",
]

# A header's length and the frames' may differ by this much before the rest counts as missing:
# containers round, and sound is often a little longer than the pictures.
MISSING_SHARE = 0.05
MISSING_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a video ended, up to the model."""

    status: Status
    error_kind: ErrorKind | None = None
    message: str | None = None


def outcome_of(verdict: Verdict, **facts: Any) -> dict[str, Any]:
    """A video's outcome (``records.OUTCOME_TYPE``); what is not given is as if never opened."""
    unopened = {
        "timestamps_synthesised": False,
        "n_frames_decoded": 0,
        "n_frames_sampled": 0,
        "n_scenes": 0,
        "n_clips": 0,
        "n_visual_tokens": 0,
        "n_tries": 1,
    }
    outcome = unopened | facts
    return outcome | {
        "n_rows": outcome["n_clips"],
        "status": str(verdict.status),
        "error_kind": verdict.error_kind and str(verdict.error_kind),
        "error_message": verdict.message,
    }


def verdict_of_decode(
    report: DecodeReport,
    *,
    duration_s: float,
    claimed_duration_s: float | None,
    missing_bytes: int = 0,
) -> Verdict:
    """Verdict of a decode that came to its end.

    Args:
        report: what was met.
        duration_s: first frame's presentation to the last one's end.
        claimed_duration_s: length of the stream by the header; None where it is silent.
        missing_bytes: how much longer the file is by its own account.
    """
    if report.n_refused:
        return Verdict(
            status=Status.PARTIAL if report.n_frames else Status.FAILED,
            error_kind=ErrorKind.OUT_OF_MEMORY,
            message=f"{report.n_refused} packets were refused the memory they asked for; expected "
            f"it: raise memory_limit_mib, or fetch the file again if it is damaged",
        )
    if not report.n_frames:
        if report.n_failures:
            return Verdict(
                status=Status.FAILED,
                error_kind=ErrorKind.CORRUPT,
                message=f"none of {report.n_failures} packets decoded ({report.last_failure}); "
                f"expected frames: fetch or encode the file again",
            )
        return Verdict(
            status=Status.FAILED,
            error_kind=ErrorKind.NO_FRAMES,
            message="the video stream holds no frames; expected at least one: is it only the "
            "first segment of a stream?",
        )
    missing_s = (claimed_duration_s or 0.0) - duration_s
    if missing_s > max(MISSING_S, MISSING_SHARE * (claimed_duration_s or 0.0)):
        return Verdict(
            status=Status.PARTIAL,
            error_kind=ErrorKind.TRUNCATED,
            message=f"the frames end {missing_s:.1f} s before the {claimed_duration_s:.1f} s that "
            f"the header claims; expected all of it: fetch the file again",
        )
    if missing_bytes:
        return Verdict(
            status=Status.PARTIAL,
            error_kind=ErrorKind.TRUNCATED,
            message=f"the file ends {missing_bytes} bytes before its own boxes do; expected all of "
            f"them: fetch the file again",
        )
    if report.n_failures or report.n_corrupt:
        detail = f" ({report.last_failure})" if report.last_failure else ""
        return Verdict(
            status=Status.PARTIAL,
            error_kind=ErrorKind.CORRUPT,
            message=f"{report.n_failures} packets did not decode and {report.n_corrupt} of "
            f"{report.n_frames} frames are damaged{detail}; expected none: fetch the file again",
        )
    return Verdict(status=Status.SUCCESS)


def range_missed(asked: str, *, duration_s: float) -> Verdict:
    """Verdict of a range that holds no frame, of a video of that length."""
    return Verdict(
        status=Status.FAILED,
        error_kind=ErrorKind.NO_FRAMES,
        message=f"the range is {asked}, and the frames end at {duration_s:.1f} s; expected it to "
        f"begin before that: mend the manifest's line",
    )


def verdict_of_error(error: VideoRejected | SourceUnavailable) -> Verdict:
    """Verdict of a video that could not be decoded at all, or may not be."""
    kind = ErrorKind(error.error_kind)
    if isinstance(error, SourceUnavailable):
        status = Status.UNAVAILABLE
    elif kind in (ErrorKind.TOO_LARGE, ErrorKind.TOO_LONG):
        status = Status.SKIPPED
    else:
        status = Status.FAILED
    return Verdict(status=status, error_kind=kind, message=error.detail)


def quarantine(kind: ErrorKind, seen: str, tries: int, *, size_bytes: int | None = None) -> Verdict:
    """Verdict of a video that took its decode child down at every try."""
    of_bytes = "" if size_bytes is None else f", of a file of {size_bytes:,} bytes"
    return Verdict(
        status=Status.QUARANTINED,
        error_kind=kind,
        message=f"{seen}, at each of {tries} tries{of_bytes}; expected a decode that ends: look at "
        f"the file, or raise the decode limits if it is only large",
    )


def lost_rows(passes: int) -> Verdict:
    """Verdict of a video whose rows never all arrived."""
    return Verdict(
        status=Status.QUARANTINED,
        error_kind=ErrorKind.CRASHED,
        message=f"its rows were lost in each of {passes} passes, as when workers die under it; "
        f"expected all of one pass: look at the cluster, then run again",
    )


def verdict_with_captions(
    outcome: Mapping[str, Any], *, n_clips: int, n_caption_errors: int
) -> Verdict:
    """The decode's verdict with the model's: failed if no clip got a caption, partial if some.

    Args:
        outcome: status, error_kind and error_message of the decode.
        n_clips: clips of the video.
        n_caption_errors: of these, how many the model could not take.
    """
    decoded = Verdict(
        status=Status(outcome["status"]),
        error_kind=outcome["error_kind"] and ErrorKind(outcome["error_kind"]),
        message=outcome["error_message"],
    )
    if not n_caption_errors:
        return decoded
    return Verdict(
        status=Status.FAILED if n_caption_errors == n_clips else Status.PARTIAL,
        error_kind=ErrorKind.MODEL_ERROR,
        message=f"the model failed on {n_caption_errors} of {n_clips} clips; "
        f"see caption_error in clips",
    )
