"""What stands in every table: names, types, meanings. The contract with whoever reads the dataset.

Nullable columns say when they are null. Every file carries ``schema_version``; raise it with any
change that a reader could notice.
"""

from collections.abc import Mapping

import pyarrow as pa

from flexivideo.errors import SettingsError

__all__ = [
    "CLIPS",
    "NEWER_COLUMNS",
    "PARTITIONS",
    "RUNS",
    "SCENES",
    "SCHEMA_VERSION",
    "SETTINGS",
    "TABLES",
    "THUMBNAILS",
    "TIMESTAMP",
    "VIDEOS",
    "embeddings_schema",
]

SCHEMA_VERSION = "1"

TIMESTAMP = pa.timestamp("us", tz="UTC")


def _column(name: str, kind: pa.DataType, meaning: str, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"meaning": meaning})


def _schema(*columns: pa.Field) -> pa.Schema:
    return pa.schema(list(columns), metadata={"schema_version": SCHEMA_VERSION})


_VIDEO_ID = _column("video_id", pa.string(), "digest of uri, version and, if any, range")
_COMMIT_ID = _column("commit_id", pa.string(), "commit that wrote the row; sorts by time")
_START_END = (
    _column("start_pts", pa.int64(), "start, ticks of the stream's time base"),
    _column("end_pts", pa.int64(), "end, not included, ticks"),
    _column("start_s", pa.float64(), "start, seconds from the first frame's presentation"),
    _column("end_s", pa.float64(), "end, not included, seconds"),
)
_MODEL_ID = _column("model_id", pa.string(), "weights, resampling mode and precision; see settings")
_PROMPT_ID = _column("prompt_id", pa.string(), "prompt and generation settings; see settings")

VIDEOS = _schema(
    _VIDEO_ID,
    _column("uri", pa.string(), "absolute path or URL"),
    _column("version", pa.string(), "etag, or size and mtime on disks"),
    _column(
        "range_start_s",
        pa.float64(),
        "beginning of the part that was asked for, seconds; null: all of it was",
        null=True,
    ),
    _column(
        "range_end_s",
        pa.float64(),
        "end of that part, not included; null: to the end",
        null=True,
    ),
    _column("content_digest", pa.string(), "SHA-256; null if not all bytes were read", null=True),
    _column("status", pa.string(), "how it ended"),
    _column("error_kind", pa.string(), "what was at fault; null for success", null=True),
    _column("error_message", pa.string(), "in words; null for success", null=True),
    _column("container", pa.string(), "container format; null if never opened", null=True),
    _column("codec", pa.string(), "video codec; null if never opened", null=True),
    _column("width", pa.int32(), "pixels as a player shows them; null without frames", null=True),
    _column("height", pa.int32(), "pixels as a player shows them; null without frames", null=True),
    _column(
        "duration_s",
        pa.float64(),
        "first to last frame's end, of the range if any; null without frames",
        null=True,
    ),
    _column("time_base_num", pa.int32(), "seconds a tick, numerator; null if unopened", null=True),
    _column("time_base_den", pa.int32(), "seconds a tick, denominator", null=True),
    _column("timestamps_synthesised", pa.bool_(), "some pts were missing or ran backwards"),
    _column("sample_fps", pa.float64(), "sampling instants a second"),
    _column("n_frames_decoded", pa.int64(), "frames decoded"),
    _column("n_frames_sampled", pa.int64(), "frames sampled"),
    _column("n_scenes", pa.int32(), "rows in scenes"),
    _column("n_clips", pa.int32(), "rows in clips"),
    _column("n_visual_tokens", pa.int64(), "sum over clips"),
    _column("n_tries", pa.int32(), "decodes it took"),
    _column("run_id", pa.string(), "run that did it"),
    _column("segmenter_id", pa.string(), "sampling and segmentation; see settings"),
    _column("packing_id", pa.string(), "how scenes became clips; see settings"),
    _MODEL_ID,
    _PROMPT_ID,
    _column("prompt", pa.string(), "asked of this video alone; null: what the run asks", null=True),
    _column("limits_id", pa.string(), "limits of the decode; see settings; limits-none: lost"),
    _COMMIT_ID,
    _column("scenes_commit_id", pa.string(), "commit that wrote the scenes; older if re-captioned"),
    _column("committed_at", TIMESTAMP, "time of the commit"),
    _column("source_deleted_at", TIMESTAMP, "when the object was found gone; else null", null=True),
)

# Never null in what is written now, and missing in older parts: there they read as null.
NEWER_COLUMNS = ("limits_id",)

SCENES = _schema(
    _column("scene_id", pa.string(), "digest of video, segmenter and index"),
    _VIDEO_ID,
    _column("scene_index", pa.int32(), "0, 1, ... within the video"),
    _column("clip_index", pa.int32(), "clip that holds the scene"),
    *_START_END,
    _column("n_frames", pa.int32(), "sampled frames"),
    _column(
        "cut_delta", pa.float32(), "difference to the frame before; null for the first", null=True
    ),
    _column("frame_deltas", pa.list_(pa.float32()), "each frame against the scene's first"),
    _column("segmenter_id", pa.string(), "sampling and segmentation; see settings"),
    _COMMIT_ID,
)

CLIPS = _schema(
    _column("clip_id", pa.string(), "digest of video, all four settings and index"),
    _VIDEO_ID,
    _column("clip_index", pa.int32(), "0, 1, ... within the video"),
    *_START_END,
    _column("n_scenes", pa.int32(), "scenes in it"),
    _column("n_frames", pa.int32(), "sampled frames in it"),
    _column("n_visual_tokens", pa.int32(), "tokens its scenes took"),
    _column("boundary", pa.string(), "why it starts: start, cut, transition or limit"),
    _column("caption", pa.string(), "what the model said; null on error", null=True),
    _column("caption_status", pa.string(), "success, truncated, error or skipped"),
    _column("caption_error", pa.string(), "what failed; null unless it did", null=True),
    _column("n_caption_tokens", pa.int32(), "tokens of the caption"),
    _MODEL_ID,
    _PROMPT_ID,
    _COMMIT_ID,
)

THUMBNAILS = _schema(
    _column("clip_id", pa.string(), "clip whose first frame it is"),
    _VIDEO_ID,
    _column("width", pa.int32(), "pixels"),
    _column("height", pa.int32(), "pixels"),
    _column("jpeg", pa.binary(), "the picture"),
    _COMMIT_ID,
)

RUNS = _schema(
    _column("run_id", pa.string(), "sorts by start"),
    _column("started_at", TIMESTAMP, "when it took the root"),
    _column("ended_at", TIMESTAMP, "when it let go; null if killed", null=True),
    _column("ended", pa.string(), "completed, interrupted, failed or killed"),
    _column("host", pa.string(), "machine of the driver"),
    _column("settings", pa.string(), "all settings, JSON; null if killed", null=True),
    _column("versions", pa.string(), "versions of what ran, JSON; null if killed", null=True),
    _column(
        "plan",
        pa.string(),
        "what was expected: listed videos, and a forecast if one was asked for, JSON; null if "
        "killed",
        null=True,
    ),
    _column(
        "counts",
        pa.string(),
        "what it took: videos, hours, tokens, busy and CPU seconds, JSON; null if killed",
        null=True,
    ),
)

SETTINGS = _schema(
    _column(
        "settings_id", pa.string(), "a segmenter_id, packing_id, model_id, prompt_id or limits_id"
    ),
    _column("kind", pa.string(), "segmenter, packing, model, prompt or limits"),
    _column("meaning", pa.string(), "what it stands for, JSON"),
)


def embeddings_schema(
    width: int, *, dtype: str = "float32", metadata: Mapping[str, str] | None = None
) -> pa.Schema:
    """Schema of the vectors of one model: unit length, one width a folder.

    Args:
        width: numbers in a vector.
        dtype: float32 or float16.
        metadata: about the model, for the vector column.
    """
    if dtype not in ("float32", "float16"):
        raise SettingsError(f"embedding dtype is {dtype!r}; expected float32 or float16")
    number = pa.field("item", pa.float32() if dtype == "float32" else pa.float16(), nullable=False)
    about = {
        "meaning": "unit vector of the clip",
        "dimension": str(width),
        "normalized": "true",
        "metric": "cosine",
        # Whether texts find clips in this space: true only where it was measured.
        "text_joint": "false",
    }
    vector = pa.field(
        "embedding", pa.list_(number, width), nullable=False, metadata=about | dict(metadata or {})
    )
    return _schema(
        _column("clip_id", pa.string(), "clip it stands for"),
        _VIDEO_ID,
        vector,
        _MODEL_ID,
        _COMMIT_ID,
    )


# The width is a stand-in where no vector exists yet.
TABLES: dict[str, pa.Schema] = {
    "videos": VIDEOS,
    "scenes": SCENES,
    "clips": CLIPS,
    "embeddings": embeddings_schema(1),
    "thumbnails": THUMBNAILS,
    "runs": RUNS,
    "settings": SETTINGS,
}

_BY_DAY = pa.schema([("ingest_date", pa.date32())])

# Columns that stand in the paths of a table's parts (``ingest_date=2026-01-02/``), outermost first.
PARTITIONS: dict[str, pa.Schema] = {
    "scenes": _BY_DAY,
    "clips": _BY_DAY,
    "embeddings": pa.schema([("model", pa.string()), *_BY_DAY]),
    "thumbnails": _BY_DAY,
}
