"""The scenes of videos as a dataset stores them, found by the commit that wrote them."""

from pipeline.records import KNOWN_SCENE_TYPE, KnownScene
from pipeline.store import Store
from pipeline.stored_rows import StoredRows

__all__ = ["StoredScenes"]

COLUMNS = [field.name for field in KNOWN_SCENE_TYPE]


class StoredScenes:
    """Looks up one video at a time."""

    def __init__(self, store: Store) -> None:
        self._rows = StoredRows(store)

    def of(self, video_id: str, commit_id: str) -> tuple[KnownScene, ...] | None:
        """The scenes of a video that a commit wrote, in order; None if they are not there."""
        rows = self._rows.of("scenes", video_id, commit_id, [*COLUMNS, "scene_index"])
        if not rows.num_rows:
            return None
        in_order = rows.sort_by("scene_index").select(COLUMNS)
        return tuple(KnownScene(**row) for row in in_order.to_pylist())
