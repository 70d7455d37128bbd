"""The scenes of videos as a dataset stores them, found by the commit that wrote them."""

import pyarrow.parquet as pq

from pipeline.identity import commit_sequence
from pipeline.records import KNOWN_SCENE_TYPE, KnownScene
from pipeline.store import Store
from pipeline.tables import part_sequence

__all__ = ["StoredScenes"]

COLUMNS = [field.name for field in KNOWN_SCENE_TYPE]


class StoredScenes:
    """Looks up one video at a time; holds the names of parts, and nothing of the videos."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: dict[int | None, str] = {}

    def of(self, video_id: str, commit_id: str) -> tuple[KnownScene, ...] | None:
        """The scenes of a video that a commit wrote, in order; None if they are not there."""
        sequence = commit_sequence(commit_id)
        if sequence not in self._parts:  # newer than what was listed
            self._parts = {part_sequence(path): path for path in self._store.list("scenes")}
        if sequence not in self._parts:
            return None
        try:
            with self._store.open(self._parts[sequence]) as part:
                rows = pq.read_table(
                    part,
                    columns=[*COLUMNS, "scene_index"],
                    filters=[("video_id", "=", video_id), ("commit_id", "=", commit_id)],
                    partitioning=None,
                ).sort_by("scene_index")
        except FileNotFoundError:  # gone since it was listed
            self._parts = {}
            return None
        return tuple(KnownScene(**row) for row in rows.select(COLUMNS).to_pylist()) or None
