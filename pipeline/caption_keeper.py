"""Keeps the captions of videos that take long, so that whoever dies loses minutes.

A long video is committed as one whole, hours after its first clip was captioned. Until then the
driver writes what has come of it to where ``pipeline.kept_captions`` finds it: the next run, or the
next worker that decodes the video. What is kept goes when a video of that name is committed for
good, when the video is erased, or after a month.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa

from flexivideo.errors import LeaseLost
from pipeline.assembly import Assembler, CompleteVideo
from pipeline.index_session import IndexSession
from pipeline.kept_captions import (
    KEPT_SCHEMA,
    SHORT_ROWS,
    UNDER_WAY,
    KeptPart,
    captioner_id,
    clip_key,
    folder_of_uri,
)
from pipeline.outcomes import CaptionStatus
from pipeline.retry import NO_LIMITS, TRIED_AGAIN
from pipeline.run_identity import RunIdentity
from pipeline.tables import write_part

__all__ = ["CaptionKeeper"]

# A video that nobody has gone on with for so long is not waited for.
KEPT_FOR = timedelta(days=30)


class CaptionKeeper:
    """Writes captions of videos that are not whole, and removes those that nobody needs."""

    def __init__(
        self,
        session: IndexSession,
        identity: RunIdentity,
        *,
        every_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """See what is there, and remove what is too old.

        Args:
            session: the right to write to the root.
            identity: the settings.
            every_s: a video's captions are kept so long after its first one, and so often.
            monotonic: the assembler's clock, seconds.
        """
        self._session, self._captioner = session, captioner_id(identity)
        self._every_s, self._monotonic, self._last_s = every_s, monotonic, monotonic()
        self._paths: dict[str, list[str]] = defaultdict(list)
        oldest = session.clock().date() - KEPT_FOR
        for path in list(session.store.list(UNDER_WAY)):
            part = KeptPart.of(path)
            if part is not None and part.kept_on < oldest:
                session.store.delete(path)
            elif part is not None:
                self._paths[part.folder].append(path)

    def keep(self, assembler: Assembler) -> None:
        """If it is time, write what has come of long videos since the last time.

        Raises:
            LeaseLost: if somebody else holds the root: what is written there is for him to know of.
        """
        now_s = self._monotonic()
        if now_s >= self._last_s + self._every_s:
            self._last_s = now_s
            self._write(assembler, begun_before_s=now_s - self._every_s)

    def keep_all(self, assembler: Assembler) -> None:
        """Write what has come of every long video: the run ends."""
        self._write(assembler, begun_before_s=self._monotonic())

    def committed(self, videos: Iterable[CompleteVideo]) -> None:
        """Remove what was kept under the names of videos that no later run tries again."""
        for video in videos:
            ended = {video.outcome["status"], video.outcome["error_kind"]}
            if not ended & TRIED_AGAIN and video.outcome.get("limits_id") != NO_LIMITS:
                for path in self._paths.pop(folder_of_uri(video.uri), ()):
                    self._session.store.delete(path)

    def _write(self, assembler: Assembler, *, begun_before_s: float) -> None:
        for video_id, uri, batches in assembler.unkept(begun_before_s=begun_before_s):
            rows = list(_kept_rows(batches))
            if not rows:
                continue
            part = KeptPart(
                folder=folder_of_uri(uri),
                kept_on=self._session.clock().date(),
                video_id=video_id,
                captioner=self._captioner,
                nonce=secrets.token_hex(4),
            )
            self._session.check()
            write_part(self._session.store, part.path, KEPT_SCHEMA, rows)
            self._paths[part.folder].append(part.path)
            try:
                self._session.check()
            except LeaseLost:  # we slept in between, and who has the root now may have erased it
                self._session.store.delete(part.path)
                raise


def _kept_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for row in batch.to_pylist():
            if row["row_index"] >= SHORT_ROWS and row["caption_status"] != CaptionStatus.ERROR:
                yield row | {"clip_key": clip_key(row)}
