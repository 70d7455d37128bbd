"""One video into rows: open, decode, sample, segment, pack, as a stream.

At any time one scene's frames and one clip's stored frames are in memory, whatever the length of
the video. A row a clip comes first, and at the end one row with the outcome.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa

from flexivideo.errors import SourceUnavailable, VideoRejected
from pipeline.boxes import declared_bytes
from pipeline.clip_rows import outcome_row
from pipeline.clip_stream import VideoFacts, clip_batches
from pipeline.container import OpenVideo, open_video
from pipeline.decode_plan import DecodePlan
from pipeline.encryption import decodes_to_noise
from pipeline.outcomes import ErrorKind, Status
from pipeline.records import VideoRef
from pipeline.source_file import check_version
from pipeline.verdicts import (
    Verdict,
    outcome_of,
    range_missed,
    verdict_of_decode,
    verdict_of_error,
)
from pipeline.whole_source import whole_source

__all__ = ["video_rows"]

Beat = Callable[[], None]


def video_rows(
    ref: VideoRef,
    attempt: str,
    plan: DecodePlan,
    beat: Beat = lambda: None,
    *,
    n_tries: int = 1,
) -> Iterator[pa.RecordBatch]:
    """Rows of one video, a batch a row, the outcome last.

    Args:
        ref: which video.
        attempt: nonce of this execution; should what was given prove to be none, of its first rows.
        plan: settings.
        beat: called at every sign of life.
        n_tries: which try this is, 1 for the first.
    """
    facts = VideoFacts(attempt=attempt)
    try:
        limit_mib, store = plan.decode.max_size_mib, plan.store
        readable = plan.unsealed(ref)
        source = whole_source(readable, max_size_mib=limit_mib, store=store, beat=beat)
        with source as (file, digest):
            facts.columns["content_digest"] = digest
            if ref.twin and ref.twin.content_digest == digest:
                facts.columns["twin"] = asdict(ref.twin)
                verdict = Verdict(status=Status.SUCCESS)
            else:
                verdict = yield from _decoded(ref, file, plan, facts, beat)
            check_version(file, ref)
    except (VideoRejected, SourceUnavailable) as error:
        verdict = verdict_of_error(error)
        facts.n_scenes = facts.n_clips = 0  # the rows before it do not count
    outcome = _outcome(facts, verdict, n_tries)
    yield outcome_row(ref, facts.attempt, outcome, spent=facts.watch.read())


def _decoded(
    ref: VideoRef, file: BinaryIO, plan: DecodePlan, facts: VideoFacts, beat: Beat
) -> Generator[pa.RecordBatch, None, Verdict]:
    """The rows of a video's clips; returns the verdict."""
    missing_bytes = max(0, (declared_bytes(file) or 0) - file.seek(0, 2))
    asked = ref.time_range
    video = yield from clip_batches(
        ref,
        partial(open_video, file, threads=plan.threads, limits=plan.decode),
        lambda video: None if asked is None else partial(asked.bounds, time_base=video.time_base),
        plan,
        facts,
        beat,
    )
    verdict = _verdict(ref, video, facts, missing_bytes)
    if ref.known_scenes is not None:
        facts.columns["scenes_commit_id"] = ref.scenes_commit_id
    return verdict


def _verdict(ref: VideoRef, video: OpenVideo, facts: VideoFacts, missing_bytes: int) -> Verdict:
    report = facts.report
    if decodes_to_noise(
        n_frames=report.n_frames, n_corrupt=report.n_corrupt, contrast=facts.contrast
    ):
        raise VideoRejected(
            ErrorKind.ENCRYPTED,
            f"{report.n_corrupt} of {report.n_frames} frames decode to damaged grey, as encrypted "
            f"ones do; expected pictures in the clear: decrypt it",
        )
    if facts.start_pts is None and report.first_pts is not None:
        length = (report.end_pts - report.first_pts) * video.time_base
        return range_missed(str(ref.time_range), duration_s=float(length))
    length = (report.end_pts - (facts.start_pts or 0)) * video.time_base
    if report.n_frames:
        facts.columns["duration_s"] = float(length)
    claimed_s = ref.asked_s(video.claimed_duration_s)
    return verdict_of_decode(
        report,
        duration_s=float(length),
        claimed_duration_s=None if report.left_early else claimed_s,
        missing_bytes=0 if report.left_early else missing_bytes,
    )


def _outcome(facts: VideoFacts, verdict: Verdict, n_tries: int) -> dict[str, Any]:
    return outcome_of(
        verdict,
        n_tries=n_tries,
        timestamps_synthesised=facts.report.synthesised,
        n_frames_decoded=facts.report.n_frames,
        n_frames_sampled=facts.n_frames_sampled,
        n_scenes=facts.n_scenes,
        n_clips=facts.n_clips,
        n_visual_tokens=facts.n_scenes * facts.tokens_per_scene,
        **facts.columns,
    )
