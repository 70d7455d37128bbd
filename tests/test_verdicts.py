import pytest

from flexivideo.errors import SourceUnavailable, VideoRejected
from pipeline.decode import DecodeReport
from pipeline.outcomes import ErrorKind, Status
from pipeline.verdicts import (
    quarantine,
    verdict_of_decode,
    verdict_of_error,
    verdict_with_captions,
)


def decoded(claimed_s=None, duration_s=10.0, **report):
    verdict = verdict_of_decode(
        DecodeReport(**report), duration_s=duration_s, claimed_duration_s=claimed_s
    )
    return verdict.status, verdict.error_kind


@pytest.mark.parametrize(
    ("met", "status", "kind"),
    [
        ({"n_frames": 250}, "success", None),
        ({"n_frames": 250, "claimed_s": 10.4}, "success", None),  # sound is often longer
        ({"n_frames": 250, "claimed_s": 17.0}, "partial", "truncated"),
        ({"n_frames": 250, "n_corrupt": 1}, "partial", "corrupt"),
        ({"n_frames": 250, "n_failures": 1}, "partial", "corrupt"),
        ({"n_frames": 0}, "failed", "no_frames"),
        ({"n_frames": 0, "n_failures": 3}, "failed", "corrupt"),
        ({"n_frames": 9, "n_failures": 3, "n_refused": 1}, "partial", "out_of_memory"),
        ({"n_frames": 0, "n_failures": 3, "n_refused": 3}, "failed", "out_of_memory"),
    ],
)
def test_what_was_met_decides(met, status, kind):
    assert decoded(**met) == (status, kind)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_error_has_a_status_and_keeps_its_kind(kind):
    errors = (VideoRejected(kind, "x"), SourceUnavailable(kind, "x"))
    rejected, unavailable = map(verdict_of_error, errors)
    assert rejected.error_kind == unavailable.error_kind == kind
    assert rejected.status == (
        Status.SKIPPED if kind in ("too_large", "too_long") else Status.FAILED
    )
    assert unavailable.status == Status.UNAVAILABLE


@pytest.mark.parametrize(
    ("n_errors", "status", "kind"),
    [(0, "success", None), (2, "partial", "model_error"), (5, "failed", "model_error")],
)
def test_captions_that_failed_change_the_status(n_errors, status, kind):
    outcome = {"status": "success", "error_kind": None, "error_message": None}
    verdict = verdict_with_captions(outcome, n_clips=5, n_caption_errors=n_errors)
    assert (verdict.status, verdict.error_kind) == (status, kind)


def test_a_message_says_what_was_seen():
    assert "SIGSEGV, at each of 2 tries" in (
        quarantine(ErrorKind.CRASHED, "the decoder died of SIGSEGV", 2).message or ""
    )
