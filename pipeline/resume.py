"""What is left to do: the listed videos less those that are done under the same settings."""

from collections.abc import Iterable, Iterator
from itertools import islice

import duckdb
import pyarrow as pa

from flexivideo.errors import DatasetError
from pipeline.records import VideoRef
from pipeline.retry import ENDED_BY_LIMITS, TRIED_AGAIN
from pipeline.run_identity import RunIdentity
from pipeline.store import Store
from pipeline.views import connect

__all__ = ["undone"]

# References compared at a time: the listing streams, the done ones stay in DuckDB.
CHUNK_REFS = 50_000


def undone(store: Store, identity: RunIdentity, refs: Iterable[VideoRef]) -> Iterator[VideoRef]:
    """The references without a finished current row, in their order."""
    try:
        connection = connect(store.root)
    except DatasetError:  # nothing has been written yet
        yield from refs
        return
    _remember_done(connection, identity)
    waiting = iter(refs)
    while chunk := list(islice(waiting, CHUNK_REFS)):
        connection.register("listed", pa.table({"video_id": [ref.video_id for ref in chunk]}))
        left = connection.execute(
            "SELECT video_id FROM listed ANTI JOIN done USING (video_id)"
        ).fetchall()
        connection.unregister("listed")
        ids = {video_id for (video_id,) in left}
        yield from (ref for ref in chunk if ref.video_id in ids)


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
