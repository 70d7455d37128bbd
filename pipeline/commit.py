"""The commit: whole videos become visible, all at once, or not at all.

Data parts go first, then ``videos/part-<sequence>``, created only if that name is free: that is the
commit. Readers join on (video_id, commit_id), so data parts without their ``videos`` part are
invisible; the next run removes them. A holder that slept finds its sequence number sealed by its
successor and cannot commit. A commit that failed is the last one of its session, because only the
next holder can tell whether its number was used.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from flexivideo.errors import LeaseLost
from pipeline.assembly import CompleteVideo
from pipeline.identity import clip_id, digest, scene_id
from pipeline.index_session import IndexSession
from pipeline.run_identity import RunIdentity
from pipeline.schemas import CLIPS, PARTITIONS, SCENES, THUMBNAILS, VIDEOS, embeddings_schema
from pipeline.settings import CommitSettings
from pipeline.tables import PartWriter, part_name

__all__ = ["CommitReceipt", "Committer", "commit_id"]


@dataclass(frozen=True, kw_only=True)
class CommitReceipt:
    """A commit that stands."""

    sequence: int
    commit_id: str
    n_videos: int


def commit_id(run_id: str, sequence: int) -> str:
    """Id of a commit; ids sort as the commits do."""
    return f"{sequence:012d}-{digest('commit', run_id, sequence)[:8]}"


class Committer:
    """Collects whole videos and commits them together."""

    def __init__(
        self,
        session: IndexSession,
        *,
        identity: RunIdentity,
        settings: CommitSettings,
        sample_fps: float,
        embedding_metadata: Mapping[str, str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session, self._identity, self._settings = session, identity, settings
        self._sample_fps, self._embedding_metadata = sample_fps, embedding_metadata
        self._monotonic, self._last_s = monotonic, monotonic()
        self._videos: list[CompleteVideo] = []
        self._n_rows = 0
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit what is whole, however the run ended, unless a commit failed."""
        try:
            if not self._failed:
                self.commit()
        finally:
            self._forget_videos()

    def add(self, video: CompleteVideo) -> None:
        """A whole video for the next commit."""
        self._videos.append(video)
        self._n_rows += video.n_rows

    def due(self) -> bool:
        """Whether enough rows or enough time have come together."""
        waited_s = self._monotonic() - self._last_s
        return bool(self._videos) and (
            self._n_rows >= self._settings.every_rows or waited_s >= self._settings.every_s
        )

    def commit(self) -> CommitReceipt | None:
        """Commit what was added; None if nothing was.

        Raises:
            LeaseLost: if another run has taken the root; nothing of this commit is visible.
            OSError: if the store failed; whether the commit stands is for the next run to see.
            RuntimeError: if a commit failed before.
        """
        self._last_s = self._monotonic()
        if not self._videos:
            return None
        if self._failed:
            raise RuntimeError("a commit of this session failed; expected a new session after it")
        self._failed = True  # until it stands
        receipt = self._write()
        self._failed = False
        self._forget_videos()
        return receipt

    def _write(self) -> CommitReceipt:
        self._session.check()
        sequence, now = self._session.next_sequence(), self._session.clock()
        parts = _Parts(self, commit_id(self._session.run_id, sequence), sequence, now)
        try:
            return parts.write(sorted(self._videos, key=lambda video: video.video_id))
        except OSError:
            self._session.check()  # a successor removes what we had begun: then say that
            raise

    def _forget_videos(self) -> None:
        for video in self._videos:
            video.close()
        self._videos, self._n_rows = [], 0


class _Parts:
    """The parts of one commit."""

    def __init__(self, committer: Committer, commit: str, sequence: int, now: datetime) -> None:
        self._committer, self._commit, self._sequence, self._now = committer, commit, sequence, now
        self._identity = committer._identity
        self._store = committer._session.store
        in_path = {"ingest_date": f"{now:%Y-%m-%d}", "model": self._identity.model_id}
        self._paths = {
            table: "/".join(
                [table, *(f"{name}={in_path[name]}" for name in columns.names), part_name(sequence)]
            )
            for table, columns in PARTITIONS.items()
        }
        self._writers: dict[str, PartWriter] = {}

    def write(self, videos: list[CompleteVideo]) -> CommitReceipt:
        marker = f"videos/{part_name(self._sequence)}"
        with ExitStack() as leftovers:
            video_writer = PartWriter(self._store, VIDEOS)
            leftovers.callback(video_writer.discard)
            video_writer.write(self._video_row(video) for video in videos)
            for video in videos:
                for batch in video.batches():
                    self._write_clip(batch, leftovers)
            for table, writer in self._writers.items():
                self._publish(writer, self._paths[table])
                leftovers.callback(self._store.delete, self._paths[table])
            # From here an error leaves open whether the commit stands, and its data must stay;
            # only a refusal says that it does not.
            data = leftovers.pop_all()
            try:
                self._publish(video_writer, marker)
            except LeaseLost:
                data.close()
                raise
        return CommitReceipt(sequence=self._sequence, commit_id=self._commit, n_videos=len(videos))

    def _publish(self, writer: PartWriter, path: str) -> None:
        """Publish a part under its name, which only a successor can have taken."""
        if not writer.publish(path):
            raise LeaseLost(
                f"commit {self._sequence} of run {self._committer._session.run_id} was refused: "
                f"another run has taken {self._store.root}; nothing of this commit is visible"
            )

    def _video_row(self, video: CompleteVideo) -> dict[str, Any]:
        outcome = {name: value for name, value in video.outcome.items() if name in VIDEOS.names}
        identity = self._identity
        return outcome | {
            "video_id": video.video_id,
            "uri": video.uri,
            "version": video.version,
            "sample_fps": self._committer._sample_fps,
            "run_id": self._committer._session.run_id,
            "segmenter_id": identity.segmenter_id,
            "packing_id": identity.packing_id,
            "model_id": identity.model_id,
            "prompt_id": identity.prompt_id,
            "limits_id": identity.limits_id,
            "commit_id": self._commit,
            "scenes_commit_id": self._commit,
            "committed_at": self._now,
        }

    def _write_clip(self, batch: pa.RecordBatch, leftovers: ExitStack) -> None:
        for row in batch.to_pylist():
            identity, video, clip = self._identity, row["video_id"], row["clip"]
            key = {
                "video_id": video,
                "commit_id": self._commit,
                "clip_id": clip_id(
                    video,
                    identity.segmenter_id,
                    identity.packing_id,
                    identity.model_id,
                    identity.prompt_id,
                    clip["clip_index"],
                ),
                "model_id": identity.model_id,
                "prompt_id": identity.prompt_id,
            }
            self._append("scenes", SCENES, self._scene_rows(row, key), leftovers)
            self._append("clips", CLIPS, [key | clip | _caption_columns(row)], leftovers)
            if row["embedding"] is not None:
                schema = embeddings_schema(
                    len(row["embedding"]),
                    dtype=self._committer._settings.embedding_dtype,
                    metadata=self._committer._embedding_metadata,
                )
                vector = key | {"embedding": row["embedding"]}
                self._append("embeddings", schema, [vector], leftovers)
            if row["thumbnail"] is not None:
                self._append("thumbnails", THUMBNAILS, [key | row["thumbnail"]], leftovers)

    def _scene_rows(self, row: dict[str, Any], key: dict[str, Any]) -> Iterator[dict[str, Any]]:
        segmenter = self._identity.segmenter_id
        for scene in row["scenes"]:
            yield scene | {
                "scene_id": scene_id(key["video_id"], segmenter, scene["scene_index"]),
                "video_id": key["video_id"],
                "clip_index": row["clip"]["clip_index"],
                "segmenter_id": segmenter,
                "commit_id": self._commit,
            }

    def _append(
        self,
        table: str,
        schema: pa.Schema,
        rows: Iterable[dict[str, Any]],
        leftovers: ExitStack,
    ) -> None:
        if table not in self._writers:
            self._writers[table] = PartWriter(self._store, schema)
            leftovers.callback(self._writers[table].discard)
        self._writers[table].write(rows)


def _caption_columns(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "caption": row["caption"],
        "caption_status": row["caption_status"],
        "caption_error": row["caption_error"],
        "n_caption_tokens": row["n_caption_tokens"] or 0,
    }
