"""The clips of a video as rows.

Of all that is asked for or a stretch of it: what is counted of a stretch is what a run would count.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from flexivideo.errors import VideoRejected
from pipeline.clip_packing import ClipPacker, PackedClip
from pipeline.clip_rows import clip_row
from pipeline.container import OpenVideo
from pipeline.decode import DecodeReport, TimedFrame
from pipeline.decode_plan import DecodePlan
from pipeline.orientation import UprightScaler
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.sampled_frames import sampled_frames
from pipeline.sampling import Bounds, InstantSampler
from pipeline.scene_builder import SceneBuilder
from pipeline.timetable import Untrue
from pipeline.worker_time import Stopwatch

__all__ = ["VideoFacts", "clip_batches", "refuse_long"]

Opener = Callable[[], AbstractContextManager[OpenVideo]]


@dataclass(kw_only=True)
class VideoFacts:
    """What is known of a video so far; filled in as it goes.

    Attributes:
        columns: what its outcome says of container and frames.
        report: what the decoder met.
        contrast: largest standard deviation of a sampled frame, grey levels.
        start_pts: presentation of the first frame that was taken, ticks.
        tokens_per_scene: visual tokens of a scene; 0 before the first frame.
        n_frames_sampled: frames that were looked at.
        n_scenes: scenes of the clips that have been taken.
        n_clips: clips that have been taken.
        watch: time since the row before, less what its reader took.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    report: DecodeReport = field(default_factory=DecodeReport)
    contrast: float = 0.0
    start_pts: int | None = None
    tokens_per_scene: int = 0
    n_frames_sampled: int = 0
    n_scenes: int = 0
    n_clips: int = 0
    watch: Stopwatch = field(default_factory=Stopwatch)

    def begin_again(self) -> None:
        """As before the first frame; what columns and watch say stays."""
        vars(self).update(vars(VideoFacts(columns=self.columns, watch=self.watch)))


def clip_batches(
    ref: VideoRef,
    attempt: str,
    opened: Opener,
    bounds: Callable[[OpenVideo], Bounds | None],
    plan: DecodePlan,
    facts: VideoFacts,
    beat: Callable[[], None],
) -> Generator[pa.RecordBatch, None, OpenVideo]:
    """A row a clip of ``DECODED_SCHEMA``, each as soon as the scene after it is finished.

    Args:
        ref: which video.
        attempt: nonce of this execution.
        opened: opens it, or opens it and leads it to a keyframe.
        bounds: of the open video, the time whose clips these are.
        plan: settings.
        facts: filled in.
        beat: called at every sign of life.

    Returns:
        The video, closed, for what its header says.

    Raises:
        VideoRejected: too_long, or unsupported_codec for pixels that cannot be converted.
    """
    n_given = 0
    for may_skip in (True, False):
        with opened() as video:
            sampler = InstantSampler(
                sample_fps=plan.segmentation.sample_fps,
                time_base=video.time_base,
                bounds=bounds(video),
            )
            frames = sampled_frames(video, sampler, facts.report, beat, may_skip=may_skip)
            try:
                for row in islice(_rows(ref, attempt, video, frames, plan, facts), n_given, None):
                    n_given += 1
                    yield row
                    facts.watch.restart()  # the time that the reader took is not ours
                break
            except Untrue:  # the clips so far are those of the plain way too
                facts.begin_again()
    return video


def _rows(
    ref: VideoRef,
    attempt: str,
    video: OpenVideo,
    frames: Iterable[TimedFrame],
    plan: DecodePlan,
    facts: VideoFacts,
) -> Iterator[pa.RecordBatch]:
    for clip in _clips(ref, video, frames, plan, facts):
        facts.n_clips += 1
        facts.n_scenes += len(clip.scenes)
        yield clip_row(
            ref, attempt, clip, tokens_per_scene=facts.tokens_per_scene, spent=facts.watch.read()
        )


def _clips(
    ref: VideoRef,
    video: OpenVideo,
    frames: Iterable[TimedFrame],
    plan: DecodePlan,
    facts: VideoFacts,
) -> Iterator[PackedClip]:
    report, columns = facts.report, facts.columns
    columns |= {
        "container": video.format_name,
        "codec": video.codec,
        "time_base_num": video.time_base.numerator,
        "time_base_den": video.time_base.denominator,
    }
    claimed_s, asked = video.claimed_duration_s, ref.time_range
    refuse_long(claimed_s if asked is None or not claimed_s else asked.share_of(claimed_s), plan)
    scaler: UprightScaler | None = None
    for frame in frames:
        if facts.start_pts is None:
            facts.start_pts = frame.pts
        if scaler is None:
            scaler = UprightScaler(frame.image, video.pixel_aspect)
            columns |= {"height": scaler.height_px, "width": scaler.width_px}
            scenes = SceneBuilder(scaler, video, report, plan, ref.known_scenes)
            facts.tokens_per_scene = scenes.tokens_per_scene
            packer = ClipPacker(plan.packing, tokens_per_scene=scenes.tokens_per_scene)
        refuse_long((frame.end_pts - facts.start_pts) * float(video.time_base), plan)
        facts.n_frames_sampled += 1
        finished = scenes.push(frame.image, frame.pts)
        facts.contrast = scenes.contrast
        closed = packer.push(finished) if finished else None
        if closed:
            yield closed
    if scaler is not None and facts.start_pts is not None:
        refuse_long((report.end_pts - facts.start_pts) * float(video.time_base), plan)
        for closed in (packer.push(scenes.finish()), packer.finish()):
            if closed:
                yield closed


def refuse_long(duration_s: float | None, plan: DecodePlan) -> None:
    """Refuse a video that is longer than the settings allow.

    Raises:
        VideoRejected: too_long.
    """
    limit_s = plan.decode.max_duration_s
    if limit_s is not None and duration_s is not None and duration_s > limit_s:
        raise VideoRejected(
            ErrorKind.TOO_LONG,
            f"the video lasts at least {duration_s:.1f} s; max_duration_s is {limit_s:g}",
        )
