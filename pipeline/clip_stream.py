"""The clips of a video as rows.

Of all that is asked for or a stretch of it: what is counted of a stretch is what a run would count.

Where frames that nobody needs cannot be skipped after all, the video is begun again, and the clips
that were given already are not given twice. Damage can make other clips of it then: those that were
given belong to no whole, and all are given under another nonce.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.clip_packing import ClipPacker, PackedClip
from pipeline.clip_rows import clip_row
from pipeline.container import OpenVideo
from pipeline.decode import DecodeReport, TimedFrame
from pipeline.decode_limits import refuse_long
from pipeline.decode_plan import DecodePlan
from pipeline.orientation import UprightScaler
from pipeline.records import VideoRef
from pipeline.sampled_frames import sampled_frames
from pipeline.sampling import Bounds, InstantSampler
from pipeline.scene_builder import SceneBuilder
from pipeline.timetable import Untrue
from pipeline.worker_time import Stopwatch

__all__ = ["VideoFacts", "clip_batches"]

Opener = Callable[[], AbstractContextManager[OpenVideo]]


@dataclass(kw_only=True)
class VideoFacts:
    """What is known of a video so far; filled in as it goes.

    Attributes:
        attempt: nonce of its rows.
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

    attempt: str
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
        """As before the first frame; what nonce, columns and watch say stays."""
        unseen = VideoFacts(attempt=self.attempt, columns=self.columns, watch=self.watch)
        vars(self).update(vars(unseen))


def clip_batches(
    ref: VideoRef,
    opened: Opener,
    bounds: Callable[[OpenVideo], Bounds | None],
    plan: DecodePlan,
    facts: VideoFacts,
    beat: Callable[[], None],
) -> Generator[pa.RecordBatch, None, OpenVideo]:
    """A row a clip of ``DECODED_SCHEMA``, each as soon as the scene after it is finished.

    Args:
        ref: which video.
        opened: opens it, or opens it and leads it to a keyframe.
        bounds: of the open video, the time whose clips these are.
        plan: settings.
        facts: filled in; where nonces have changed, it holds the last.
        beat: called at every sign of life.

    Returns:
        The video, closed, for what its header says.

    Raises:
        VideoRejected: too_long, too_large, or unsupported_codec for pixels that cannot be
            converted.
    """
    given: list[tuple[int, ...]] = []  # where the scenes of each clip lie
    for may_skip in (True, False, False):
        with opened() as video:
            sampler = InstantSampler(
                sample_fps=plan.segmentation.sample_fps,
                time_base=video.time_base,
                bounds=bounds(video),
            )
            frames = sampled_frames(video, sampler, facts.report, beat, may_skip=may_skip)
            try:
                for clip in _clips(ref, video, frames, plan, facts):
                    facts.n_clips += 1
                    facts.n_scenes += len(clip.scenes)
                    places = (clip.scenes[0].start_pts, *(scene.end_pts for scene in clip.scenes))
                    if facts.n_clips > len(given):
                        given.append(places)
                        yield _row(ref, clip, facts)
                        facts.watch.restart()  # the time that the reader took is not ours
                    elif places != given[clip.clip_index]:
                        raise Untrue("a clip that was given has other scenes")
                if facts.n_clips < len(given):
                    raise Untrue("a clip that was given is none")
                break
            except Untrue:
                if not may_skip:
                    given, facts.attempt = [], f"{facts.attempt}-anew"
                facts.begin_again()
    return video


def _row(ref: VideoRef, clip: PackedClip, facts: VideoFacts) -> pa.RecordBatch:
    tokens, spent = facts.tokens_per_scene, facts.watch.read()
    return clip_row(ref, facts.attempt, clip, tokens_per_scene=tokens, spent=spent)


def _clips(
    ref: VideoRef,
    video: OpenVideo,
    frames: Iterable[TimedFrame],
    plan: DecodePlan,
    facts: VideoFacts,
) -> Iterator[PackedClip]:
    report, columns, limits = facts.report, facts.columns, plan.decode
    columns |= {
        "container": video.format_name,
        "codec": video.codec,
        "time_base_num": video.time_base.numerator,
        "time_base_den": video.time_base.denominator,
    }
    refuse_long(ref.asked_s(video.claimed_duration_s), limits)
    scaler: UprightScaler | None = None
    for frame in frames:
        if scaler is None:
            start_pts = facts.start_pts = frame.pts
            scaler = UprightScaler(frame.image, video.pixel_aspect)
            columns |= {"height": scaler.height_px, "width": scaler.width_px}
            scenes = SceneBuilder(scaler, video, report, plan, ref.known_scenes)
            facts.tokens_per_scene = scenes.tokens_per_scene
            packer = ClipPacker(plan.packing, tokens_per_scene=scenes.tokens_per_scene)
        refuse_long((frame.end_pts - start_pts) * float(video.time_base), limits)
        facts.n_frames_sampled += 1
        finished = scenes.push(frame.image, frame.pts)
        facts.contrast = scenes.contrast
        closed = packer.push(finished) if finished else None
        if closed:
            yield closed
    if scaler is not None:
        refuse_long((report.end_pts - start_pts) * float(video.time_base), limits)
        for closed in (packer.push(scenes.finish()), packer.finish()):
            if closed:
                yield closed
