"""One video into rows: open, decode, sample, segment, pack, as a stream.

At any time one scene's frames and one clip's stored frames are in memory, whatever the length of
the video. A row a clip comes first, and at the end one row with the outcome.
"""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa

from flexivideo.errors import SourceUnavailable, VideoRejected
from pipeline.boxes import declared_bytes
from pipeline.clip_packing import ClipPacker, PackedClip
from pipeline.clip_rows import clip_row, outcome_row
from pipeline.container import OpenVideo, open_video
from pipeline.decode import DecodeReport, timed_frames
from pipeline.decode_plan import DecodePlan
from pipeline.encryption import decodes_to_noise
from pipeline.orientation import UprightScaler
from pipeline.outcomes import ErrorKind, Status
from pipeline.records import VideoRef
from pipeline.sampling import InstantSampler
from pipeline.scene_builder import SceneBuilder
from pipeline.source_file import check_version
from pipeline.verdicts import Verdict, outcome_of, verdict_of_decode, verdict_of_error
from pipeline.whole_source import whole_source

__all__ = ["video_rows"]

Beat = Callable[[], None]


@dataclass(kw_only=True)
class _Facts:
    """What is known of a video so far, for its outcome; filled in as it goes."""

    columns: dict[str, Any] = field(default_factory=dict)
    report: DecodeReport = field(default_factory=DecodeReport)
    missing_bytes: int = 0
    contrast: float = 0.0
    tokens_per_scene: int = 0
    n_frames_sampled: int = 0
    n_scenes: int = 0
    n_clips: int = 0
    since_s: float = field(default_factory=time.perf_counter)

    def busy_s(self) -> float:
        """Time since the row before, less what its reader took."""
        return time.perf_counter() - self.since_s

    def outcome(self, verdict: Verdict, n_tries: int) -> dict[str, Any]:
        return outcome_of(
            verdict,
            n_tries=n_tries,
            timestamps_synthesised=self.report.synthesised,
            n_frames_decoded=self.report.n_frames,
            n_frames_sampled=self.n_frames_sampled,
            n_scenes=self.n_scenes,
            n_clips=self.n_clips,
            n_visual_tokens=self.n_scenes * self.tokens_per_scene,
            **self.columns,
        )


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
        attempt: nonce of this execution.
        plan: settings.
        beat: called at every sign of life.
        n_tries: which try this is, 1 for the first.
    """
    facts = _Facts()
    try:
        limit_mib, store = plan.decode.max_size_mib, plan.store
        source = whole_source(ref, max_size_mib=limit_mib, store=store, beat=beat)
        with source as (file, digest):
            facts.columns["content_digest"] = digest
            if ref.twin and ref.twin.content_digest == digest:
                facts.columns["twin"] = asdict(ref.twin)
                verdict = Verdict(status=Status.SUCCESS)
            else:
                verdict = yield from _decoded(ref, attempt, file, plan, facts, beat)
            check_version(file, ref)
    except (VideoRejected, SourceUnavailable) as error:
        verdict = verdict_of_error(error)
        facts.n_scenes = facts.n_clips = 0  # the rows before it do not count
    yield outcome_row(ref, attempt, facts.outcome(verdict, n_tries), busy_s=facts.busy_s())


def _decoded(
    ref: VideoRef, attempt: str, file: BinaryIO, plan: DecodePlan, facts: _Facts, beat: Beat
) -> Generator[pa.RecordBatch, None, Verdict]:
    """The rows of a video's clips; returns the verdict."""
    facts.missing_bytes = max(0, (declared_bytes(file) or 0) - file.seek(0, 2))
    with open_video(file, threads=plan.threads) as video:
        for clip in _clips(ref, video, plan, facts, beat):
            facts.n_clips += 1
            facts.n_scenes += len(clip.scenes)
            yield clip_row(
                ref,
                attempt,
                clip,
                tokens_per_scene=facts.tokens_per_scene,
                busy_s=facts.busy_s(),
            )
            facts.since_s = time.perf_counter()  # the time that the reader took is not ours
        verdict = _verdict(video, facts)
    if ref.known_scenes is not None:
        facts.columns["scenes_commit_id"] = ref.scenes_commit_id
    return verdict


def _clips(
    ref: VideoRef, video: OpenVideo, plan: DecodePlan, facts: _Facts, beat: Beat
) -> Iterator[PackedClip]:
    """Clips of an open video, each as soon as the scene after it is finished."""
    report, columns = facts.report, facts.columns
    columns |= {
        "container": video.format_name,
        "codec": video.codec,
        "time_base_num": video.time_base.numerator,
        "time_base_den": video.time_base.denominator,
    }
    _refuse_long(video.claimed_duration_s, plan)
    sampler = InstantSampler(sample_fps=plan.segmentation.sample_fps, time_base=video.time_base)
    scaler: UprightScaler | None = None
    for frame in timed_frames(video, report, beat):
        if scaler is None:
            scaler = UprightScaler(frame.image, video.pixel_aspect)
            columns |= {"height": scaler.height_px, "width": scaler.width_px}
            scenes = SceneBuilder(scaler, video, report, plan, ref.known_scenes)
            facts.tokens_per_scene = scenes.tokens_per_scene
            packer = ClipPacker(plan.packing, tokens_per_scene=scenes.tokens_per_scene)
        _refuse_long((frame.end_pts - (report.first_pts or 0)) * float(video.time_base), plan)
        if not sampler.holds_instant(frame.pts, frame.end_pts):
            continue
        facts.n_frames_sampled += 1
        finished = scenes.push(frame.image, frame.pts)
        facts.contrast = scenes.contrast
        closed = packer.push(finished) if finished else None
        if closed:
            yield closed
    if scaler is not None:
        for closed in (packer.push(scenes.finish()), packer.finish()):
            if closed:
                yield closed


def _refuse_long(duration_s: float | None, plan: DecodePlan) -> None:
    limit_s = plan.decode.max_duration_s
    if limit_s is not None and duration_s is not None and duration_s > limit_s:
        raise VideoRejected(
            ErrorKind.TOO_LONG,
            f"the video lasts at least {duration_s:.1f} s; max_duration_s is {limit_s:g}",
        )


def _verdict(video: OpenVideo, facts: _Facts) -> Verdict:
    report = facts.report
    if decodes_to_noise(
        n_frames=report.n_frames, n_corrupt=report.n_corrupt, contrast=facts.contrast
    ):
        raise VideoRejected(
            ErrorKind.ENCRYPTED,
            f"{report.n_corrupt} of {report.n_frames} frames decode to damaged grey, as encrypted "
            f"ones do; expected pictures in the clear: decrypt it",
        )
    length = (report.end_pts - (report.first_pts or 0)) * video.time_base
    if report.n_frames:
        facts.columns["duration_s"] = float(length)
    return verdict_of_decode(
        report,
        duration_s=float(length),
        claimed_duration_s=video.claimed_duration_s,
        missing_bytes=facts.missing_bytes,
    )
