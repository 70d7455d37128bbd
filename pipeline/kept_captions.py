"""Captions that an earlier run made of a video which did not become whole.

They lie under the root as parts that no table knows, so no reader sees them:

    under_way/<digest of the uri>/<video_id>-<captioner>-<nonce>.parquet

A row is found by what its caption was made from: the video in its version, the settings, a prompt
of the video's own, and the bounds of its scenes. So it may be lost or doubled, and the dataset is
the same in the end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.identity import digest
from pipeline.records import CAPTION_FIELDS
from pipeline.run_identity import RunIdentity
from pipeline.store import open_store
from pipeline.store_settings import StoreSettings

__all__ = [
    "KEPT_SCHEMA",
    "KEY_COLUMNS",
    "UNDER_WAY",
    "Kept",
    "KeptCaptions",
    "captioner_id",
    "captioner_of",
    "clip_key",
    "folder_of_uri",
    "part_path",
    "video_of",
]

UNDER_WAY = "under_way"

# What a caption was made from, beside the settings.
KEY_COLUMNS = ("video_id", "prompt", "scenes")

# What it took is the matter of the run that made it.
TIMES = ("caption_busy_s", "caption_cpu_s")

KEPT_SCHEMA = pa.schema(
    [
        pa.field("clip_key", pa.string(), nullable=False),
        *(column for column in CAPTION_FIELDS if column.name not in TIMES),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where a run's workers find what earlier runs kept.

    Attributes:
        root: the dataset.
        store: how it is reached.
        parts: video id to the paths of its parts.
    """

    root: str
    store: StoreSettings
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)


def folder_of_uri(uri: str) -> str:
    """Where all that is kept of a video lies, in whatever version and under whatever settings."""
    return f"{UNDER_WAY}/{digest('uri', uri)}"


def part_path(uri: str, video_id: str, captioner: str, nonce: str) -> str:
    """Where a part goes."""
    return f"{folder_of_uri(uri)}/{video_id}-{captioner}-{nonce}.parquet"


def video_of(path: str) -> str:
    """Id of a part's video."""
    return _in_name(path)[0]


def captioner_of(path: str) -> str:
    """Id of the settings under which a part's captions were made."""
    return _in_name(path)[1]


def captioner_id(identity: RunIdentity) -> str:
    """Of all settings that a clip's caption and vector depend on."""
    ids = identity.segmenter_id, identity.packing_id, identity.model_id, identity.prompt_id
    return digest("captioner", *ids)


def clip_key(row: Mapping[str, Any]) -> str:
    """What the caption of a clip's row was made from, beside the settings."""
    bounds = (
        scene[name] for scene in row["scenes"] for name in ("start_pts", "end_pts", "n_frames")
    )
    return digest("clip", row["video_id"], row["prompt"], *bounds)


def _in_name(path: str) -> list[str]:
    return path.rsplit("/", 1)[-1].split("-")


class KeptCaptions:
    """Looks captions up; holds those of one video, since its clips come together."""

    def __init__(self, kept: Kept) -> None:
        self._parts, self._store = kept.parts, open_store(kept.root, kept.store)
        self._video_id: str | None = None
        self._rows: dict[str, dict[str, Any]] = {}

    def knows(self, video_id: str) -> bool:
        """Whether anything was kept of a video."""
        return video_id in self._parts

    def of(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Caption and vector of a clip of a video that it knows; None if they were not kept.

        Args:
            row: of :data:`KEY_COLUMNS`.
        """
        if row["video_id"] != self._video_id:
            self._video_id = row["video_id"]
            self._rows = dict(self._read(row["video_id"]))
        return self._rows.get(clip_key(row))

    def _read(self, video_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for path in self._parts[video_id]:
            with self._store.open(path) as file:
                for row in pq.read_table(file, schema=KEPT_SCHEMA).to_pylist():
                    yield row.pop("clip_key"), row
