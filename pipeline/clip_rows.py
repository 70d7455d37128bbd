"""One video into rows: decode, sample, segment, pack, as a stream.

At any time one scene's frames and one clip's stored frames are in memory, whatever the length of
the video. Rows are those of ``pipeline.records.DECODED_SCHEMA``: a row a clip, and at the end one
row with the outcome.
"""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from flexivideo.errors import SourceUnavailable, VideoRejected
from flexivideo.frame_size import smart_resize
from flexivideo.segmentation import SceneSegmenter
from flexivideo.virtual_frames import stored_frames
from pipeline.clip_packing import ClipPacker, PackedClip, SceneRecord
from pipeline.container import OpenVideo, open_video
from pipeline.decode import DecodeReport, timed_frames
from pipeline.decode_plan import DecodePlan
from pipeline.local_uri import to_path
from pipeline.orientation import UprightScaler
from pipeline.outcomes import ErrorKind
from pipeline.records import DECODED_SCHEMA, SCENE_TYPE, VideoRef
from pipeline.sampling import InstantSampler
from pipeline.sources import disk_version
from pipeline.verdicts import Verdict, verdict_of_decode, verdict_of_error

__all__ = ["outcome_row", "video_rows"]

MIB = 2**20
DIGEST_CHUNK_BYTES = 4 * MIB

THUMBNAIL_WIDTH_PX = 320
THUMBNAIL_QUALITY = 80

# Chroma is often halved, so sides are kept even for ATS frames.
ATS_FACTOR = 2

Beat = Callable[[], None]


@dataclass(kw_only=True)
class _Facts:
    """What is known of a video so far, for the outcome row; filled in as it goes."""

    columns: dict[str, Any] = field(default_factory=dict)
    report: DecodeReport = field(default_factory=DecodeReport)
    n_frames_sampled: int = 0
    n_scenes: int = 0
    n_clips: int = 0
    n_visual_tokens: int = 0


def video_rows(
    ref: VideoRef, attempt: str, plan: DecodePlan, beat: Beat = lambda: None
) -> Iterator[pa.RecordBatch]:
    """Rows of one video, a batch a row, the outcome last.

    Args:
        ref: which video.
        attempt: nonce of this execution.
        plan: settings.
        beat: called at every sign of life.
    """
    facts, since = _Facts(), time.perf_counter()
    try:
        with _open_source(ref, plan) as file:
            facts.columns["content_digest"] = _digest(file, beat)
            with open_video(file, threads=plan.threads) as video:
                for clip in _clips(video, plan, facts, beat):
                    now = time.perf_counter()
                    columns = _clip_columns(clip, facts, plan)
                    yield _row(ref, attempt, clip.clip_index, now - since, **columns)
                    since = time.perf_counter()  # the time that the reader took is not ours
                verdict = _verdict(video, facts)
    except (VideoRejected, SourceUnavailable) as error:
        verdict = verdict_of_error(error)
        facts.n_scenes = facts.n_clips = facts.n_visual_tokens = 0  # rows before it do not count
    yield outcome_row(
        ref,
        attempt,
        verdict,
        busy_s=time.perf_counter() - since,
        timestamps_synthesised=facts.report.synthesised,
        n_frames_decoded=facts.report.n_frames,
        n_frames_sampled=facts.n_frames_sampled,
        n_scenes=facts.n_scenes,
        n_clips=facts.n_clips,
        n_visual_tokens=facts.n_visual_tokens,
        **facts.columns,
    )


def outcome_row(
    ref: VideoRef, attempt: str, verdict: Verdict, *, busy_s: float = 0.0, **facts: Any
) -> pa.RecordBatch:
    """The row that ends a video; facts that are not given are those of a video never opened."""
    counts = {
        "timestamps_synthesised": False,
        "n_frames_decoded": 0,
        "n_frames_sampled": 0,
        "n_scenes": 0,
        "n_clips": 0,
        "n_visual_tokens": 0,
        "n_tries": 1,
    }
    outcome = counts | facts
    outcome |= {
        "n_rows": outcome["n_clips"],
        "status": str(verdict.status),
        "error_kind": verdict.error_kind and str(verdict.error_kind),
        "error_message": verdict.message,
    }
    return _row(ref, attempt, outcome["n_rows"], busy_s, kind="video", outcome=outcome)


def _clips(video: OpenVideo, plan: DecodePlan, facts: _Facts, beat: Beat) -> Iterator[PackedClip]:
    """Clips of an open video, each as soon as the scene after it is finished."""
    report, columns = facts.report, facts.columns
    columns |= {
        "container": video.format_name,
        "codec": video.codec,
        "time_base_num": video.time_base.numerator,
        "time_base_den": video.time_base.denominator,
    }
    _refuse_long(video.claimed_duration_s, plan)
    sampler = InstantSampler(
        sample_fps=plan.segmentation.sample_fps or 0.0, time_base=video.time_base
    )
    scaler: UprightScaler | None = None
    for frame in timed_frames(video, report, beat):
        if scaler is None:
            scaler = UprightScaler(frame.image, video.pixel_aspect)
            columns |= {"height": scaler.height_px, "width": scaler.width_px}
            scenes = _SceneBuilder(scaler, video, report, plan)
            packer = ClipPacker(plan.packing, tokens_per_scene=scenes.tokens_per_scene)
        _refuse_long((frame.end_pts - (report.first_pts or 0)) * float(video.time_base), plan)
        if not sampler.holds_instant(frame.pts, frame.end_pts):
            continue
        facts.n_frames_sampled += 1
        finished = scenes.push(frame.image, frame.pts)
        closed = packer.push(finished) if finished else None
        if closed:
            yield closed
    if scaler is not None:
        for closed in (packer.push(scenes.finish()), packer.finish()):
            if closed:
                yield closed


class _SceneBuilder:
    """Sampled frames into finished scenes, with what the model and the thumbnails need of them."""

    def __init__(
        self, scaler: UprightScaler, video: OpenVideo, report: DecodeReport, plan: DecodePlan
    ) -> None:
        self._scaler, self._video, self._report, self._plan = scaler, video, report, plan
        sides = scaler.height_px, scaler.width_px
        self._model_size = plan.spec.frame_size(*sides)
        self._ats_size = _ats_size(*sides, plan.segmentation.ats_side_px)
        self.tokens_per_scene = plan.spec.tokens_per_scene(*sides)
        self._segmenter = SceneSegmenter(
            tau=plan.segmentation.tau or 0.0,
            max_scene_frames=plan.segmentation.max_scene_frames,
            stride=plan.segmentation.ats_stride,
        )
        self._frames: list[NDArray[np.uint8]] = []
        self._deltas: list[float] = []
        self._cut_delta: float | None = None
        self._start_pts = 0
        self._n_scenes = 0
        self._picture: NDArray[np.uint8] | None = None

    def push(self, image: Any, pts: int) -> SceneRecord | None:
        """Take a sampled frame; returns the scene that ended before it, if one did."""
        analysed = self._scaler.scale(image, *self._ats_size)
        step = self._segmenter.push(analysed)
        finished = None
        if step.starts_scene:
            finished = self._close(pts) if self._frames else None
            self._frames, self._deltas = [], []
            self._cut_delta, self._start_pts = step.cut_delta, pts
            self._picture = analysed if self._plan.decode.thumbnails else None
        self._frames.append(
            analysed
            if self._model_size == self._ats_size
            else self._scaler.scale(image, *self._model_size)
        )
        self._deltas.append(step.delta)
        return finished

    def finish(self) -> SceneRecord:
        """The last scene: it reaches to the end of the last decoded frame."""
        return self._close(self._report.end_pts)

    def _close(self, end_pts: int) -> SceneRecord:
        spec, first_pts = self._plan.spec, self._report.first_pts or 0
        tick_s = self._video.time_base
        scene = SceneRecord(
            scene_index=self._n_scenes,
            start_pts=self._start_pts,
            end_pts=end_pts,
            start_s=float((self._start_pts - first_pts) * tick_s),
            end_s=float((end_pts - first_pts) * tick_s),
            n_frames=len(self._frames),
            cut_delta=self._cut_delta,
            frame_deltas=self._deltas,
            stored=stored_frames(
                np.stack(self._frames), mode=spec.temporal_resample, t_init=spec.t_init
            ),
            picture=self._picture,
        )
        self._n_scenes += 1
        return scene


def _open_source(ref: VideoRef, plan: DecodePlan) -> BinaryIO:
    path, limit_mib = to_path(ref.uri), plan.decode.max_size_mib
    try:
        file = open(path, "rb")  # noqa: SIM115 - the caller enters it
    except FileNotFoundError as error:
        raise SourceUnavailable(
            ErrorKind.SOURCE_MISSING, f"{ref.uri!r} is not there any more"
        ) from error
    except PermissionError as error:
        raise SourceUnavailable(
            ErrorKind.SOURCE_DENIED, f"{ref.uri!r} may not be read: {error.strerror}"
        ) from error
    except OSError as error:
        raise SourceUnavailable(
            ErrorKind.SOURCE_UNAVAILABLE, f"{ref.uri!r} cannot be read: {error.strerror}"
        ) from error
    status = os.fstat(file.fileno())
    try:
        if disk_version(status) != ref.version:
            raise SourceUnavailable(
                ErrorKind.SOURCE_CHANGED, f"{ref.uri!r} has changed since it was listed"
            )
        if not status.st_size:
            raise VideoRejected(ErrorKind.EMPTY, "the file has no bytes; expected a video")
        if limit_mib is not None and status.st_size > limit_mib * MIB:
            raise VideoRejected(
                ErrorKind.TOO_LARGE,
                f"the file has {status.st_size / MIB:.0f} MiB; max_size_mib is {limit_mib}",
            )
    except BaseException:
        file.close()
        raise
    return file


def _digest(file: BinaryIO, beat: Beat) -> str:
    """SHA-256 of all bytes."""
    digest = hashlib.sha256()
    while chunk := file.read(DIGEST_CHUNK_BYTES):
        digest.update(chunk)
        beat()
    return digest.hexdigest()


def _refuse_long(duration_s: float | None, plan: DecodePlan) -> None:
    limit_s = plan.decode.max_duration_s
    if limit_s is not None and duration_s is not None and duration_s > limit_s:
        raise VideoRejected(
            ErrorKind.TOO_LONG,
            f"the video lasts at least {duration_s:.1f} s; max_duration_s is {limit_s:g}",
        )


def _verdict(video: OpenVideo, facts: _Facts) -> Verdict:
    report = facts.report
    length = (report.end_pts - (report.first_pts or 0)) * video.time_base
    if report.n_frames:
        facts.columns["duration_s"] = float(length)
    return verdict_of_decode(
        report, duration_s=float(length), claimed_duration_s=video.claimed_duration_s
    )


def _clip_columns(clip: PackedClip, facts: _Facts, plan: DecodePlan) -> dict[str, Any]:
    scenes, picture = clip.scenes, clip.scenes[0].picture
    height, width = scenes[0].stored.shape[1:3]
    n_visual_tokens = len(scenes) * plan.spec.tokens_per_scene(height, width)
    facts.n_scenes += len(scenes)
    facts.n_clips += 1
    facts.n_visual_tokens += n_visual_tokens
    stored = [np.ascontiguousarray(scene.stored) for scene in scenes]
    return {
        "kind": "clip",
        "clip": {
            "clip_index": clip.clip_index,
            "start_pts": scenes[0].start_pts,
            "end_pts": scenes[-1].end_pts,
            "start_s": scenes[0].start_s,
            "end_s": scenes[-1].end_s,
            "n_scenes": len(scenes),
            "n_frames": sum(scene.n_frames for scene in scenes),
            "n_visual_tokens": n_visual_tokens,
            "boundary": clip.boundary,
        },
        "scenes": [{name: getattr(scene, name) for name in SCENE_TYPE.names} for scene in scenes],
        "thumbnail": None if picture is None else _thumbnail(picture),
        "frame_height": height,
        "frame_width": width,
        "runs": [{"n_stored": len(frames), "dtype": str(frames.dtype)} for frames in stored],
        "pixels": b"".join(frames.data.cast("B") for frames in stored),
    }


def _row(
    ref: VideoRef, attempt: str, row_index: int, busy_s: float, **columns: Any
) -> pa.RecordBatch:
    row = {
        "uri": ref.uri,
        "version": ref.version,
        "video_id": ref.video_id,
        "attempt": attempt,
        "row_index": row_index,
        "decode_busy_s": busy_s,
    } | columns
    return pa.RecordBatch.from_pylist([row], schema=DECODED_SCHEMA)


def _ats_size(height_px: int, width_px: int, side_px: int) -> tuple[int, int]:
    """Size for ATS: an area of side_px squared at most, never larger than the video itself."""
    return smart_resize(
        height_px,
        width_px,
        factor=ATS_FACTOR,
        min_pixels=ATS_FACTOR**2,
        max_pixels=max(side_px**2, ATS_FACTOR**2),
    )


def _thumbnail(picture_HW3: NDArray[np.uint8]) -> dict[str, Any]:
    image = Image.fromarray(picture_HW3)
    image.thumbnail((THUMBNAIL_WIDTH_PX, THUMBNAIL_WIDTH_PX))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=THUMBNAIL_QUALITY)
    return {"width": image.width, "height": image.height, "jpeg": encoded.getvalue()}
