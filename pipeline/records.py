"""What travels between the stages: one reference a video, then one Arrow row a clip.

A decode worker answers each :class:`VideoRef` with a run of rows of one ``attempt`` (the nonce of
that execution): first a row a clip (``kind`` "clip"), in order, and at the end exactly one row with
the video's outcome (``kind`` "video"), whose ``n_rows`` says how many clip rows came before it. A
video is complete when all rows of one attempt are there; anything else is done again.

Pixels travel once, as the scenes' stored frames (``flexivideo.virtual_frames.stored_frames``), end
to end in ``pixels``; ``runs`` says how to cut them. The caption stage drops them and appends
:data:`CAPTION_FIELDS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from pipeline.identity import video_id
from pipeline.time_ranges import TimeRange

__all__ = [
    "CAPTIONED_SCHEMA",
    "CAPTION_FIELDS",
    "CLIP_TYPE",
    "DECODED_SCHEMA",
    "KNOWN_SCENE_TYPE",
    "OUTCOME_TYPE",
    "PIXEL_FIELDS",
    "REF_SCHEMA",
    "SCENE_TYPE",
    "THUMBNAIL_TYPE",
    "KnownScene",
    "Twin",
    "VideoRef",
]


@dataclass(frozen=True, kw_only=True)
class KnownScene:
    """A scene as a dataset stores it, less what follows from the video's frames.

    Attributes:
        start_pts: presentation time of its first frame, ticks.
        n_frames: sampled frames.
        cut_delta: difference of its first frame to the frame before; None for the first scene.
        frame_deltas: each frame against the scene's first.
    """

    start_pts: int
    n_frames: int
    cut_delta: float | None
    frame_deltas: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A video of the dataset that a listed one may be under another name.

    Attributes:
        video_id: its id.
        commit_id: commit under which its rows stand.
        content_digest: SHA-256 of its bytes: what decides.
    """

    video_id: str
    commit_id: str
    content_digest: str


@dataclass(frozen=True, kw_only=True)
class VideoRef:
    """One object in one version, or a range of it, as listed.

    Attributes:
        uri: absolute path or URL, as it will stand in the tables.
        version: etag, or ``<size>-<mtime_ns>`` on disks.
        video_id: ``pipeline.identity.video_id`` of these, and of the range.
        size_bytes: None where the listing does not say.
        scenes_commit_id: commit under which its scenes stand already; None: it is to be segmented.
        known_scenes: the scenes that its frames are cut into; None: by ATS.
        twin: whose rows are taken over if the bytes are the same; None: nobody's.
        modified_at_s: when this version was put there, seconds since 1970 UTC; None: unknown.
        time_range: the part that is asked for; None: all of it.
        prompt: what the model is asked of this video; None: what it is asked of the others.
        signed_query: what signs the request for it, sealed for the way to whoever reads it
            (``pipeline.sealing``); None: nothing does.
    """

    uri: str
    version: str
    video_id: str
    size_bytes: int | None
    scenes_commit_id: str | None = None
    known_scenes: tuple[KnownScene, ...] | None = None
    twin: Twin | None = None
    modified_at_s: float | None = None
    time_range: TimeRange | None = None
    prompt: str | None = None
    signed_query: str | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "VideoRef":
        """Of a row of ``REF_SCHEMA``, or of ``dataclasses.asdict``."""
        known = fields["known_scenes"]
        scenes = known if known is None else tuple(KnownScene(**scene) for scene in known)
        twin = fields["twin"] and Twin(**fields["twin"])
        within = fields["time_range"] and TimeRange(**fields["time_range"])
        return cls(**{**fields, "known_scenes": scenes, "twin": twin, "time_range": within})

    def asked_s(self, duration_s: float | None) -> float | None:
        """How many seconds of a video of that length are asked for; None where it is unknown."""
        if duration_s is None or self.time_range is None:
            return duration_s
        return self.time_range.share_of(duration_s)

    def within(self, time_range: TimeRange | None) -> "VideoRef":
        """A range of the object, or all of it."""
        bounds = {} if time_range is None else asdict(time_range)
        own_id = video_id(self.uri, self.version, **bounds)
        return replace(self, video_id=own_id, time_range=time_range)


KNOWN_SCENE_TYPE = pa.struct(
    [
        pa.field("start_pts", pa.int64(), nullable=False),
        pa.field("n_frames", pa.int32(), nullable=False),
        pa.field("cut_delta", pa.float32()),
        pa.field("frame_deltas", pa.list_(pa.float32()), nullable=False),
    ]
)

TWIN_TYPE = pa.struct([pa.field(name, pa.string()) for name in Twin.__dataclass_fields__])

TIME_RANGE_TYPE = pa.struct(
    [pa.field("start_s", pa.float64(), nullable=False), pa.field("end_s", pa.float64())]
)

REF_SCHEMA = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64()),
        pa.field("scenes_commit_id", pa.string()),
        pa.field("known_scenes", pa.list_(KNOWN_SCENE_TYPE)),
        pa.field("twin", TWIN_TYPE),
        pa.field("time_range", TIME_RANGE_TYPE),
        pa.field("prompt", pa.string()),
        pa.field("signed_query", pa.string()),
    ]
)

SCENE_TYPE = pa.struct(
    [
        pa.field("scene_index", pa.int32(), nullable=False),
        pa.field("start_pts", pa.int64(), nullable=False),
        pa.field("end_pts", pa.int64(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("n_frames", pa.int32(), nullable=False),
        pa.field("cut_delta", pa.float32()),
        pa.field("frame_deltas", pa.list_(pa.float32()), nullable=False),
    ]
)

CLIP_TYPE = pa.struct(
    [
        pa.field("clip_index", pa.int32(), nullable=False),
        pa.field("start_pts", pa.int64(), nullable=False),
        pa.field("end_pts", pa.int64(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("n_scenes", pa.int32(), nullable=False),
        pa.field("n_frames", pa.int32(), nullable=False),
        pa.field("n_visual_tokens", pa.int32(), nullable=False),
        pa.field("boundary", pa.string(), nullable=False),
    ]
)

RUN_TYPE = pa.struct(
    [
        pa.field("n_stored", pa.int32(), nullable=False),  # frames stored: raw ones, or virtual
        pa.field("dtype", pa.string(), nullable=False),  # "uint8" raw, "float16" virtual
    ]
)

THUMBNAIL_TYPE = pa.struct(
    [
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("jpeg", pa.binary(), nullable=False),
    ]
)

OUTCOME_TYPE = pa.struct(
    [
        pa.field("n_rows", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error_kind", pa.string()),
        pa.field("error_message", pa.string()),
        pa.field("content_digest", pa.string()),
        pa.field("container", pa.string()),
        pa.field("codec", pa.string()),
        pa.field("width", pa.int32()),  # as a player shows it: after rotation and pixel aspect
        pa.field("height", pa.int32()),
        pa.field("duration_s", pa.float64()),  # first frame's presentation to last frame's end
        pa.field("time_base_num", pa.int32()),
        pa.field("time_base_den", pa.int32()),
        pa.field("timestamps_synthesised", pa.bool_(), nullable=False),
        pa.field("n_frames_decoded", pa.int64(), nullable=False),
        pa.field("n_frames_sampled", pa.int64(), nullable=False),
        pa.field("n_scenes", pa.int32(), nullable=False),
        pa.field("n_clips", pa.int32(), nullable=False),
        pa.field("n_visual_tokens", pa.int64(), nullable=False),
        pa.field("n_tries", pa.int32(), nullable=False),
        pa.field("scenes_commit_id", pa.string()),  # whose scenes these are; null: segmented anew
        pa.field("twin", TWIN_TYPE),  # whose rows are taken over; null: nobody's
    ]
)

_KEY_FIELDS = [
    pa.field("uri", pa.string(), nullable=False),
    pa.field("version", pa.string(), nullable=False),
    pa.field("video_id", pa.string(), nullable=False),
    pa.field("attempt", pa.string(), nullable=False),
    pa.field("row_index", pa.int32(), nullable=False),
    pa.field("time_range", TIME_RANGE_TYPE),  # null: all of it
    pa.field("prompt", pa.string()),  # of this video alone; null: the run's
    pa.field("kind", pa.string(), nullable=False),  # "clip" or "video"
    pa.field("clip", CLIP_TYPE),
    pa.field("scenes", pa.list_(SCENE_TYPE)),
    pa.field("thumbnail", THUMBNAIL_TYPE),
    pa.field("outcome", OUTCOME_TYPE),
    pa.field("decode_busy_s", pa.float64(), nullable=False),  # since the attempt's row before
    pa.field("decode_cpu_s", pa.float64(), nullable=False),  # likewise
]

PIXEL_FIELDS = [
    pa.field("frame_height", pa.int32()),
    pa.field("frame_width", pa.int32()),
    pa.field("runs", pa.list_(RUN_TYPE)),  # one a scene
    pa.field("pixels", pa.large_binary()),
]

CAPTION_FIELDS = [
    pa.field("caption", pa.string()),
    pa.field("caption_status", pa.string()),
    pa.field("caption_error", pa.string()),
    pa.field("n_caption_tokens", pa.int32()),
    pa.field("embedding", pa.list_(pa.float32())),
    pa.field("caption_busy_s", pa.float64(), nullable=False),
    pa.field("caption_cpu_s", pa.float64(), nullable=False),
]

DECODED_SCHEMA = pa.schema(_KEY_FIELDS + PIXEL_FIELDS)
CAPTIONED_SCHEMA = pa.schema(_KEY_FIELDS + CAPTION_FIELDS)
