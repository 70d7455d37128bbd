"""Captions of a video that is not whole yet, made by an earlier run or by a worker that is gone.

They lie under the root as parts that no table knows, so no reader sees them:

    under_way/<digest of the uri>/<date>-<video_id>-<captioner>-<nonce>.parquet

A row is found by what its caption was made from: the video in its version, the settings, a prompt
of the video's own, and the bounds of its scenes. So a part may be lost, damaged or doubled, and the
dataset is the same in the end.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.identity import digest
from pipeline.records import CAPTION_FIELDS
from pipeline.run_identity import RunIdentity
from pipeline.store import open_store
from pipeline.store_settings import StoreSettings

__all__ = [
    "ATTEMPT_COLUMNS",
    "KEPT_SCHEMA",
    "KEY_COLUMNS",
    "SHORT_ROWS",
    "UNDER_WAY",
    "Kept",
    "KeptCaptions",
    "KeptPart",
    "captioner_id",
    "clip_key",
    "folder_of_uri",
]

UNDER_WAY = "under_way"

# The first clips of a video are never kept nor looked for: most videos have no more, and a look
# costs a request.
SHORT_ROWS = 32

# Videos whose kept captions are at hand at a time.
MOST_VIDEOS = 16

# Whose clip it is, and what its caption was made from beside the settings and the video.
ATTEMPT_COLUMNS = ("uri", "video_id", "attempt", "row_index")
KEY_COLUMNS = ("prompt", "scenes")

# What it took is the matter of the run that made it.
TIMES = ("caption_busy_s", "caption_cpu_s")

KEPT_SCHEMA = pa.schema(
    [
        pa.field("clip_key", pa.string(), nullable=False),
        *(column for column in CAPTION_FIELDS if column.name not in TIMES),
    ]
)


@dataclass(frozen=True, kw_only=True)
class KeptPart:
    """What a part's path says.

    Attributes:
        folder: of all parts of its video's uri.
        kept_on: UTC.
        video_id: of the video.
        captioner: id of the settings.
        nonce: tells it from others.
    """

    folder: str
    kept_on: date
    video_id: str
    captioner: str
    nonce: str

    @property
    def path(self) -> str:
        """Under the root."""
        name = f"{self.kept_on:%Y%m%d}-{self.video_id}-{self.captioner}-{self.nonce}.parquet"
        return f"{self.folder}/{name}"

    @classmethod
    def of(cls, path: str) -> "KeptPart | None":
        """Inverse of :attr:`path`; None for any other file, which anybody may have put there."""
        found = re.fullmatch(r"(.*)/(\d{8})-(\w+)-(\w+)-(\w+)\.parquet", path)
        if found is None:
            return None
        folder, kept_on, video_id, captioner, nonce = found.groups()
        try:
            day = date.fromisoformat(kept_on)
        except ValueError:
            return None
        return cls(folder=folder, kept_on=day, video_id=video_id, captioner=captioner, nonce=nonce)


def folder_of_uri(uri: str) -> str:
    """Where all that is kept of a video lies, in whatever version and under whatever settings."""
    return f"{UNDER_WAY}/{digest('uri', uri)}"


def captioner_id(identity: RunIdentity) -> str:
    """Of all settings that a clip's caption and vector depend on."""
    ids = identity.segmenter_id, identity.packing_id, identity.model_id, identity.prompt_id
    return digest("captioner", *ids)


def clip_key(row: Mapping[str, Any]) -> str:
    """What the caption of a clip's row was made from, beside the settings."""
    names = ("start_pts", "end_pts", "n_frames")
    bounds = (scene[name] for scene in row["scenes"] for name in names)
    return digest("clip", row["video_id"], row["prompt"], *bounds)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where workers look.

    Attributes:
        root: the dataset.
        store: how it is reached.
        captioner: id of the settings.
    """

    root: str
    store: StoreSettings
    captioner: str


class KeptCaptions:
    """Looks captions up: once for each attempt at a video that proves to be long."""

    def __init__(self, kept: Kept) -> None:
        self._captioner, self._store = kept.captioner, open_store(kept.root, kept.store)
        self._rows: OrderedDict[tuple[str, str], dict[str, dict[str, Any]]] = OrderedDict()

    def knows(self, row: Mapping[str, Any]) -> bool:
        """Whether anything was kept of the video that a clip is of.

        Args:
            row: of :data:`ATTEMPT_COLUMNS`.
        """
        return row["row_index"] >= SHORT_ROWS and bool(self._of_attempt(row))

    def of(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Caption and vector of a clip; None if they were not kept.

        Args:
            row: of :data:`ATTEMPT_COLUMNS` and :data:`KEY_COLUMNS`.
        """
        return self._of_attempt(row).get(clip_key(row)) if self.knows(row) else None

    def _of_attempt(self, row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        attempt = row["video_id"], row["attempt"]
        if attempt not in self._rows:
            self._rows[attempt] = dict(self._read(row["uri"], row["video_id"]))
            if len(self._rows) > MOST_VIDEOS:
                self._rows.popitem(last=False)
        self._rows.move_to_end(attempt)
        return self._rows[attempt]

    def _read(self, uri: str, video_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What can be read; what cannot is captioned again."""
        try:
            for path in self._store.list(folder_of_uri(uri)):
                part = KeptPart.of(path)
                if part and (part.video_id, part.captioner) == (video_id, self._captioner):
                    with self._store.open(path) as file:
                        rows = pq.read_table(file, schema=KEPT_SCHEMA).to_pylist()
                    yield from ((row.pop("clip_key"), row) for row in rows)
        except (OSError, pa.ArrowException):
            return
