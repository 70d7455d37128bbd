"""What a dataset says of its own videos and runs, for those who do something again."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from flexivideo.errors import DatasetError
from pipeline.outcomes import Status
from pipeline.records import VideoRef
from pipeline.settings import IndexSettings
from pipeline.time_ranges import TimeRange, time_range

__all__ = ["KnownVideo", "ended_otherwise", "newest_settings", "standing"]


@dataclass(frozen=True, kw_only=True)
class KnownVideo:
    """What was asked for once, whatever version it had.

    Attributes:
        uri: of the object.
        time_range: the part of it; None: all.
        prompt: what the model was asked of it alone; None: what it was asked of the others.
    """

    uri: str
    time_range: TimeRange | None
    prompt: str | None


def newest_settings(connection: duckdb.DuckDBPyConnection) -> IndexSettings:
    """The settings of the newest run that has left a row of them.

    Raises:
        DatasetError: if none has.
    """
    found = connection.execute(
        "SELECT settings FROM runs WHERE settings IS NOT NULL ORDER BY started_at DESC LIMIT 1"
    ).fetchone()
    if found is None:
        raise DatasetError(
            "no run has left its settings here; expected one that ended: index the sources again"
        )
    return IndexSettings.from_json(found[0])


def standing(connection: duckdb.DuckDBPyConnection, refs: Sequence[VideoRef]) -> set[str]:
    """Ids of those that have ended well."""
    rows = connection.execute(
        "SELECT video_id FROM videos WHERE status = $well AND video_id IN (SELECT unnest($ids))",
        {"well": Status.SUCCESS, "ids": [ref.video_id for ref in refs]},
    ).fetchall()
    return {video_id for (video_id,) in rows}


def ended_otherwise(
    connection: duckdb.DuckDBPyConnection, *, statuses: Sequence[str], kinds: Sequence[str]
) -> list[KnownVideo]:
    """The videos that are there and ended so, sorted by uri.

    Args:
        connection: of ``pipeline.views.connect``.
        statuses: any of these.
        kinds: any of these as the error's kind; none: any at all.
    """
    rows = connection.execute(
        """SELECT uri, range_start_s, range_end_s, arg_max_null(prompt, commit_id) FROM videos
           WHERE source_deleted_at IS NULL AND status IN (SELECT unnest($statuses))
           AND (len($kinds) = 0 OR error_kind IN (SELECT unnest($kinds)))
           GROUP BY ALL ORDER BY ALL""",
        {"statuses": list(statuses), "kinds": list(kinds)},
    ).fetchall()
    return [
        KnownVideo(uri=uri, time_range=time_range(start_s, end_s), prompt=prompt)
        for uri, start_s, end_s, prompt in rows
    ]
