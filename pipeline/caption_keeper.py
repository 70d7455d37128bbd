"""Keeps the captions of videos that take long, so that a run which is killed loses minutes.

A long video is committed as one whole, hours after its first clip was captioned. Until then the
driver writes what has come of it to ``pipeline.kept_captions``, from which a next run takes it.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flexivideo.errors import DatasetError
from pipeline.assembly import Assembler, CompleteVideo
from pipeline.kept_captions import (
    KEPT_SCHEMA,
    UNDER_WAY,
    captioner_id,
    captioner_of,
    clip_key,
    part_path,
    video_of,
)
from pipeline.outcomes import CaptionStatus, Status
from pipeline.run_identity import RunIdentity
from pipeline.store import Store
from pipeline.tables import write_part
from pipeline.views import connect

__all__ = ["CaptionKeeper"]


class CaptionKeeper:
    """Writes captions of videos that are not whole, and removes them when the video is done.

    Attributes:
        parts: video id to the paths of what is kept of it, from earlier runs and from this one.
    """

    def __init__(
        self,
        store: Store,
        identity: RunIdentity,
        *,
        every_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """See what earlier runs kept.

        Args:
            store: the root, which is held.
            identity: the settings.
            every_s: a video's captions are kept so long after its first one, and so often.
            monotonic: the assembler's clock, seconds.
        """
        self._store, self._captioner = store, captioner_id(identity)
        self._every_s, self._monotonic, self._last_s = every_s, monotonic, monotonic()
        self.parts = dict(_found(store, identity))

    def keep(self, assembler: Assembler) -> None:
        """If it is time, write what has come of long videos since the last time."""
        now_s = self._monotonic()
        if now_s < self._last_s + self._every_s:
            return
        self._last_s = now_s
        for video_id, uri, batches in assembler.unkept(begun_before_s=now_s - self._every_s):
            rows = list(_kept_rows(batches))
            path = part_path(uri, video_id, self._captioner, secrets.token_hex(4))
            if rows and write_part(self._store, path, KEPT_SCHEMA, rows):
                self.parts.setdefault(video_id, []).append(path)

    def committed(self, videos: Iterable[CompleteVideo]) -> None:
        """Remove what was kept of videos that are done; those not to be had are tried again."""
        for video in videos:
            if video.outcome["status"] != Status.UNAVAILABLE:
                for path in self.parts.pop(video.video_id, ()):
                    self._store.delete(path)


def _kept_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for row in batch.to_pylist():
            if row["caption_status"] != CaptionStatus.ERROR:
                yield row | {"clip_key": clip_key(row)}


def _found(store: Store, identity: RunIdentity) -> Mapping[str, list[str]]:
    """What a run of these settings can use; what a run left that was killed at its end, goes."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in store.list(UNDER_WAY):
        if captioner_of(path) == captioner_id(identity):
            found[video_of(path)].append(path)
    for video_id in _done(store, identity, list(found)):
        for path in found.pop(video_id):
            store.delete(path)
    return found


def _done(store: Store, identity: RunIdentity, video_ids: Sequence[str]) -> list[str]:
    """Which of the videos are done under these settings."""
    if not video_ids:
        return []
    try:
        videos = connect(store)
    except DatasetError:  # none is
        return []
    rows = videos.execute(
        """SELECT DISTINCT video_id FROM all_videos
           WHERE list_contains($videos, video_id) AND status <> $unavailable
           AND segmenter_id = $segmenter AND packing_id = $packing
           AND model_id = $model AND prompt_id = $prompt""",
        {
            "videos": list(video_ids),
            "unavailable": Status.UNAVAILABLE,
            "segmenter": identity.segmenter_id,
            "packing": identity.packing_id,
            "model": identity.model_id,
            "prompt": identity.prompt_id,
        },
    )
    return [video_id for (video_id,) in rows.fetchall()]
