"""What is left to do: the listed videos less those that are done under the same settings."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import duckdb
import pyarrow as pa

from flexivideo.errors import DatasetError
from pipeline.outcomes import Status
from pipeline.records import VideoRef
from pipeline.retry import ENDED_BY_LIMITS, TRIED_AGAIN
from pipeline.run_identity import RunIdentity
from pipeline.store import Store
from pipeline.views import connect

__all__ = ["undone"]

# References compared at a time: the listing streams, the done ones stay in DuckDB.
CHUNK_REFS = 50_000


def undone(store: Store, identity: RunIdentity, refs: Iterable[VideoRef]) -> Iterator[VideoRef]:
    """The references without a finished current row, in their order.

    Those that were segmented and packed under the same settings name the commit that holds their
    scenes.
    """
    try:
        connection = connect(store)
    except DatasetError:  # nothing has been written yet
        yield from refs
        return
    _remember_done(connection, identity)
    _remember_segmented(connection, identity)
    waiting = iter(refs)
    while chunk := list(islice(waiting, CHUNK_REFS)):
        connection.register("listed", pa.table({"video_id": [ref.video_id for ref in chunk]}))
        left = connection.execute(
            """SELECT video_id, scenes_commit_id FROM listed ANTI JOIN done USING (video_id)
               LEFT JOIN segmented USING (video_id)"""
        ).fetchall()
        connection.unregister("listed")
        scenes = dict(left)
        for ref in chunk:
            if ref.video_id in scenes:
                yield replace(ref, scenes_commit_id=scenes[ref.video_id])


def _remember_done(connection: duckdb.DuckDBPyConnection, identity: RunIdentity) -> None:
    connection.execute(
        """CREATE TEMP TABLE done AS SELECT video_id FROM videos
           WHERE segmenter_id = ? AND packing_id = ? AND model_id = ? AND prompt_id = ?
           AND NOT list_has_any([status, error_kind], ?)
           AND (limits_id = ? OR NOT list_has_any([status, error_kind], ?))""",
        [
            identity.segmenter_id,
            identity.packing_id,
            identity.model_id,
            identity.prompt_id,
            sorted(TRIED_AGAIN),
            identity.limits_id,
            sorted(ENDED_BY_LIMITS),
        ],
    )


def _remember_segmented(connection: duckdb.DuckDBPyConnection, identity: RunIdentity) -> None:
    # Of the same packing, since a scene's row names the clip that holds it.
    connection.execute(
        """CREATE TEMP TABLE segmented AS
           SELECT video_id, max(scenes_commit_id) AS scenes_commit_id FROM all_videos
           WHERE segmenter_id = ? AND packing_id = ? AND status = ? GROUP BY video_id""",
        [identity.segmenter_id, identity.packing_id, Status.SUCCESS],
    )
