"""The scenes of a dataset's videos, to cut the same videos into the same scenes again."""

import json
from dataclasses import fields

from flexivideo.errors import DatasetError
from pipeline.outcomes import Status
from pipeline.records import KnownScene
from pipeline.settings import SegmentationSettings
from pipeline.store import Store
from pipeline.stored_scenes import StoredScenes
from pipeline.views import connect

__all__ = ["IndexedScenes"]


class IndexedScenes:
    """Looks videos up in a dataset, one at a time; holds nothing of them.

    Attributes:
        segmentation: the sampling and segmentation under which all its scenes stand.
    """

    def __init__(self, store: Store) -> None:
        """Open the dataset.

        Raises:
            DatasetError: if there is none, or its scenes stand under several segmentations.
        """
        self._connection, self._stored = connect(store), StoredScenes(store)
        # By its commit a video's rows are found without reading the other commits' parts.
        self._connection.execute(
            """CREATE TEMP TABLE whole AS SELECT video_id, scenes_commit_id
               FROM videos WHERE status = $status""",
            {"status": Status.SUCCESS.value},
        )
        self.segmentation = self._segmentation(store.root)

    def of(self, video_id: str) -> tuple[KnownScene, ...] | None:
        """The scenes of a video that the dataset holds whole; None if it does not."""
        found = self._connection.execute(
            "SELECT scenes_commit_id FROM whole WHERE video_id = $video_id",
            {"video_id": video_id},
        ).fetchone()
        return None if found is None else self._stored.of(video_id, found[0])

    def _segmentation(self, root: str) -> SegmentationSettings:
        meanings = self._connection.execute(
            """SELECT DISTINCT meaning FROM settings
               WHERE settings_id IN (SELECT segmenter_id FROM scenes)"""
        ).fetchall()
        if len(meanings) != 1:
            raise DatasetError(
                f"the scenes in {root!r} stand under {len(meanings)} segmentations; expected one: "
                f"index all of its videos under the same sample_fps and tau"
            )
        known = json.loads(meanings[0][0])
        return SegmentationSettings(**{f.name: known[f.name] for f in fields(SegmentationSettings)})
