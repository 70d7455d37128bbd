"""Clips and outcomes as rows of ``pipeline.records.DECODED_SCHEMA``."""

import io
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline.clip_packing import PackedClip
from pipeline.records import DECODED_SCHEMA, SCENE_TYPE, VideoRef
from pipeline.worker_time import WorkerTime

__all__ = ["clip_row", "outcome_row"]

THUMBNAIL_SIDE_PX = 320
THUMBNAIL_QUALITY = 80


def clip_row(
    ref: VideoRef, attempt: str, clip: PackedClip, *, tokens_per_scene: int, spent: WorkerTime
) -> pa.RecordBatch:
    """The row of one clip, its pixels end to end, its first frame as a small picture."""
    scenes, picture = clip.scenes, clip.scenes[0].picture
    height, width = scenes[0].stored.shape[1:3]
    stored = [np.ascontiguousarray(scene.stored) for scene in scenes]
    columns = {
        "kind": "clip",
        "clip": {
            "clip_index": clip.clip_index,
            "start_pts": scenes[0].start_pts,
            "end_pts": scenes[-1].end_pts,
            "start_s": scenes[0].start_s,
            "end_s": scenes[-1].end_s,
            "n_scenes": len(scenes),
            "n_frames": sum(scene.n_frames for scene in scenes),
            "n_visual_tokens": len(scenes) * tokens_per_scene,
            "boundary": clip.boundary,
        },
        "scenes": [{name: getattr(scene, name) for name in SCENE_TYPE.names} for scene in scenes],
        "thumbnail": None if picture is None else _thumbnail(picture),
        "frame_height": height,
        "frame_width": width,
        "runs": [{"n_stored": len(frames), "dtype": str(frames.dtype)} for frames in stored],
        "pixels": b"".join(frames.data.cast("B") for frames in stored),
    }
    return _row(ref, attempt, clip.clip_index, spent, columns)


def outcome_row(
    ref: VideoRef, attempt: str, outcome: dict[str, Any], *, spent: WorkerTime = WorkerTime()
) -> pa.RecordBatch:
    """The row that ends an attempt; ``outcome`` as of ``pipeline.verdicts.outcome_of``."""
    columns = {"kind": "video", "outcome": outcome}
    return _row(ref, attempt, outcome["n_rows"], spent, columns)


def _row(
    ref: VideoRef, attempt: str, row_index: int, spent: WorkerTime, columns: dict[str, Any]
) -> pa.RecordBatch:
    key = {
        "uri": ref.uri,
        "version": ref.version,
        "video_id": ref.video_id,
        "attempt": attempt,
        "row_index": row_index,
        "time_range": ref.time_range and asdict(ref.time_range),
        "prompt": ref.prompt,
        "decode_busy_s": spent.busy_s,
        "decode_cpu_s": spent.cpu_s,
    }
    return pa.RecordBatch.from_pylist([key | columns], schema=DECODED_SCHEMA)


def _thumbnail(picture_HW3: NDArray[np.uint8]) -> dict[str, Any]:
    image = Image.fromarray(picture_HW3)
    image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=THUMBNAIL_QUALITY)
    return {"width": image.width, "height": image.height, "jpeg": encoded.getvalue()}
