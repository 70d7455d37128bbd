"""What is left to do: the listed videos less those that are done under the same settings.

A listing streams: it is compared in windows, so that an archive of any size takes no more memory
than one window's references, and the first videos are worked on while the rest is still unlisted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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

__all__ = ["MEMORY_MIB", "Resume", "windows"]

# References of a window: few at first, for an early start, then as many as cost a cluster little
# idle time at a window's end.
FIRST_WINDOW, WINDOW = 1_000, 20_000

# Of the driver, for what is done: a million videos fit, many more go to a disk.
MEMORY_MIB = 300


class Resume:
    """What a dataset holds under the settings of a run, when it was last looked at."""

    def __init__(self, store: Store, identity: RunIdentity) -> None:
        self._store, self._identity = store, identity
        self.refresh()

    def refresh(self) -> None:
        """Look again: somebody may have committed meanwhile."""
        self._connection: duckdb.DuckDBPyConnection | None = None
        try:
            self._connection = connect(self._store, memory_mib=MEMORY_MIB)
        except DatasetError:  # nothing has been written yet
            return
        _remember_done(self._connection, self._identity)
        _remember_segmented(self._connection, self._identity)

    def undone(self, refs: Sequence[VideoRef]) -> list[VideoRef]:
        """The references without a finished current row, in their order.

        Those that were segmented and packed under the same settings name the commit that holds
        their scenes.
        """
        if self._connection is None:
            return list(refs)
        self._connection.register("listed", pa.table({"video_id": [ref.video_id for ref in refs]}))
        left = self._connection.execute(
            """SELECT video_id, scenes_commit_id FROM listed ANTI JOIN done USING (video_id)
               LEFT JOIN segmented USING (video_id)"""
        ).fetchall()
        self._connection.unregister("listed")
        scenes = dict(left)
        return [
            replace(ref, scenes_commit_id=scenes[ref.video_id])
            for ref in refs
            if ref.video_id in scenes
        ]


def windows(
    refs: Iterable[VideoRef],
    resume: Resume,
    compared: Callable[[int, int], None] = lambda n_listed, n_done: None,
) -> Iterator[list[VideoRef]]:
    """What is undone of a listing, in its order.

    Args:
        refs: the listing.
        resume: what they are compared with.
        compared: told of every comparison: how many were listed, and how many of them are done.
    """
    waiting, window = iter(refs), list[VideoRef]()
    enough = at_once = FIRST_WINDOW
    while chunk := list(islice(waiting, at_once)):
        left = resume.undone(chunk)
        compared(len(chunk), len(chunk) - len(left))
        window += left
        if len(window) >= enough:
            yield window
            window, enough = [], WINDOW
        at_once = min(2 * at_once, WINDOW)
    if window:
        yield window


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
