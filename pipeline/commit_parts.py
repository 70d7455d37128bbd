"""The parts of one commit: whole videos as rows of every table, written and published in order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from flexivideo.errors import LeaseLost
from pipeline.assembly import CompleteVideo
from pipeline.identity import clip_id, scene_id
from pipeline.run_identity import RunIdentity
from pipeline.schemas import CLIPS, PARTITIONS, SCENES, THUMBNAILS, VIDEOS, embeddings_schema
from pipeline.store import Store
from pipeline.stored_rows import StoredRows
from pipeline.tables import PartWriter, part_name
from pipeline.twin_rows import twin_clips, twin_video

__all__ = ["CommitParts", "PartSettings"]


@dataclass(frozen=True, kw_only=True)
class PartSettings:
    """What all rows of a run have in common.

    Attributes:
        identity: ids of the settings that they stand under.
        run_id: the run.
        sample_fps: sampling instants a second.
        embedding_dtype: float32 or float16.
        embedding_metadata: about the model, for the vectors' column.
    """

    identity: RunIdentity
    run_id: str
    sample_fps: float
    embedding_dtype: str
    embedding_metadata: Mapping[str, str]


class CommitParts:
    """Writes the parts of one commit."""

    def __init__(
        self,
        store: Store,
        about: PartSettings,
        *,
        commit_id: str,
        sequence: int,
        now: datetime,
    ) -> None:
        self._store, self._about, self._stored = store, about, StoredRows(store)
        self._commit, self._sequence, self._now = commit_id, sequence, now
        in_path = {"ingest_date": f"{now:%Y-%m-%d}", "model": about.identity.model_id}
        self._paths = {
            table: "/".join(
                [table, *(f"{name}={in_path[name]}" for name in columns.names), part_name(sequence)]
            )
            for table, columns in PARTITIONS.items()
        }
        self._writers: dict[str, PartWriter] = {}

    def write(self, videos: Sequence[CompleteVideo]) -> None:
        """Write and publish them, the ``videos`` part last.

        Raises:
            LeaseLost: if a name is taken, which only a successor can have done; nothing of this
                commit is visible.
            OSError: if the store failed; whether the commit stands is for the next run to see.
        """
        marker = f"videos/{part_name(self._sequence)}"
        with ExitStack() as leftovers:
            video_writer = PartWriter(self._store, VIDEOS)
            leftovers.callback(video_writer.discard)
            video_writer.write(self._video_row(video) for video in videos)
            for video in videos:
                is_segmented = video.outcome.get("scenes_commit_id") is not None
                for row in self._clip_rows(video):
                    self._write_clip(
                        row, self._asked(video), leftovers, with_scenes=not is_segmented
                    )
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

    def _asked(self, video: CompleteVideo) -> RunIdentity:
        """The ids that a video's rows stand under."""
        return self._about.identity.asking(video.prompt)

    def _publish(self, writer: PartWriter, path: str) -> None:
        if not writer.publish(path):
            raise LeaseLost(
                f"commit {self._sequence} of run {self._about.run_id} was refused: "
                f"another run has taken {self._store.root}; nothing of this commit is visible"
            )

    def _clip_rows(self, video: CompleteVideo) -> Iterator[dict[str, Any]]:
        """Its clips as the model stage handed them over, or as they stand under another name."""
        if video.twin is not None:
            yield from twin_clips(self._stored, video.twin, video.video_id)
        for batch in video.batches():
            yield from batch.to_pylist()

    def _video_row(self, video: CompleteVideo) -> dict[str, Any]:
        columns = video.outcome
        if video.twin is not None:
            columns = twin_video(self._stored, video.twin) | {"scenes_commit_id": None}
        outcome = {name: value for name, value in columns.items() if name in VIDEOS.names}
        identity = self._asked(video)
        return (
            {"limits_id": identity.limits_id}
            | outcome
            | {
                "video_id": video.video_id,
                "uri": video.uri,
                "version": video.version,
                "range_start_s": video.time_range and video.time_range.start_s,
                "range_end_s": video.time_range and video.time_range.end_s,
                "sample_fps": self._about.sample_fps,
                "run_id": self._about.run_id,
                "segmenter_id": identity.segmenter_id,
                "packing_id": identity.packing_id,
                "model_id": identity.model_id,
                "prompt_id": identity.prompt_id,
                "prompt": video.prompt,
                "commit_id": self._commit,
                "scenes_commit_id": outcome.get("scenes_commit_id") or self._commit,
                "committed_at": self._now,
            }
        )

    def _write_clip(
        self,
        row: dict[str, Any],
        identity: RunIdentity,
        leftovers: ExitStack,
        *,
        with_scenes: bool,
    ) -> None:
        video, clip = row["video_id"], row["clip"]
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
        if with_scenes:
            self._append("scenes", SCENES, self._scene_rows(row, key), leftovers)
        self._append("clips", CLIPS, [key | clip | _caption_columns(row)], leftovers)
        if row["embedding"] is not None:
            schema = embeddings_schema(
                len(row["embedding"]),
                dtype=self._about.embedding_dtype,
                metadata=self._about.embedding_metadata,
            )
            vector = key | {"embedding": row["embedding"]}
            self._append("embeddings", schema, [vector], leftovers)
        if row["thumbnail"] is not None:
            self._append("thumbnails", THUMBNAILS, [key | row["thumbnail"]], leftovers)

    def _scene_rows(self, row: dict[str, Any], key: dict[str, Any]) -> Iterator[dict[str, Any]]:
        segmenter = self._about.identity.segmenter_id
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
