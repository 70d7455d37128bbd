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
from pipeline.records import Twin, VideoRef
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

    def __init__(self, store: Store, identity: RunIdentity, *, reuse_renamed: bool = False) -> None:
        """Look at a dataset.

        Args:
            store: the root.
            identity: settings of the run.
            reuse_renamed: look for videos that may be known under another name.
        """
        self._store, self._identity, self._reuse_renamed = store, identity, reuse_renamed
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
        _remember_twins(self._connection, self._identity, wanted=self._reuse_renamed)

    def undone(self, refs: Sequence[VideoRef]) -> list[VideoRef]:
        """The references without a finished current row, in their order.

        Those that were segmented and packed under the same settings name the commit that holds
        their scenes; those of a version that is known under another name, its twin there.
        """
        if self._connection is None:
            return list(refs)
        columns = {name: [getattr(ref, name) for ref in refs] for name in ("video_id", "version")}
        for name in ("start_s", "end_s"):
            bounds = (ref.time_range and getattr(ref.time_range, name) for ref in refs)
            columns[f"range_{name}"] = pa.array(bounds, pa.float64())
        ids = {
            prompt: self._identity.asking(prompt).prompt_id for prompt in {r.prompt for r in refs}
        }
        columns["prompt_id"] = [ids[ref.prompt] for ref in refs]
        self._connection.register("listed", pa.table(columns))
        left = self._connection.execute(
            """SELECT listed.video_id, scenes_commit_id, twins.video_id, commit_id, content_digest
               FROM listed ANTI JOIN done USING (video_id, prompt_id)
               LEFT JOIN segmented ON segmented.video_id = listed.video_id
               LEFT JOIN twins ON twins.version = listed.version
                    AND twins.prompt_id = listed.prompt_id
                    AND twins.range_start_s IS NOT DISTINCT FROM listed.range_start_s
                    AND twins.range_end_s IS NOT DISTINCT FROM listed.range_end_s"""
        ).fetchall()
        self._connection.unregister("listed")
        known = {video_id: rest for video_id, *rest in left}
        return [_as_known(ref, *known[ref.video_id]) for ref in refs if ref.video_id in known]


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


def _as_known(
    ref: VideoRef, scenes_commit: str | None, twin: str | None, commit: str, digest: str
) -> VideoRef:
    same = twin and Twin(video_id=twin, commit_id=commit, content_digest=digest)
    return replace(ref, scenes_commit_id=scenes_commit, twin=same or None)


def _remember_done(connection: duckdb.DuckDBPyConnection, identity: RunIdentity) -> None:
    connection.execute(
        """CREATE TEMP TABLE done AS SELECT video_id, prompt_id FROM videos
           WHERE segmenter_id = ? AND packing_id = ? AND model_id = ?
           AND NOT list_has_any([status, error_kind], ?)
           AND (limits_id = ? OR NOT list_has_any([status, error_kind], ?))""",
        [
            identity.segmenter_id,
            identity.packing_id,
            identity.model_id,
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


def _remember_twins(
    connection: duckdb.DuckDBPyConnection, identity: RunIdentity, *, wanted: bool
) -> None:
    # An object keeps its version when it is renamed, mostly; whether it is the same, bytes tell.
    connection.execute(
        """CREATE TEMP TABLE twins AS
           SELECT version, range_start_s, range_end_s, prompt_id,
                  max_by(video_id, commit_id) AS video_id,
                  max_by(content_digest, commit_id) AS content_digest, max(commit_id) AS commit_id
           FROM videos
           WHERE $wanted AND status = $status AND content_digest IS NOT NULL AND version <> ''
           AND segmenter_id = $segmenter AND packing_id = $packing AND model_id = $model
           GROUP BY version, range_start_s, range_end_s, prompt_id""",
        {
            "wanted": wanted,
            "status": Status.SUCCESS,
            "segmenter": identity.segmenter_id,
            "packing": identity.packing_id,
            "model": identity.model_id,
        },
    )
