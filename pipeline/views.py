"""The dataset as a reader should see it: DuckDB views that join what belongs together.

A row counts only if the commit that wrote it stands and is the video's latest, and a connection
reads the parts of the commits that stood when it was opened: so a reader sees whole videos at any
time, and the same in every table, whatever a run is doing. Nothing is written.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch

import duckdb
import pyarrow as pa

from flexivideo.errors import DatasetError
from pipeline.outcomes import Status
from pipeline.schemas import PARTITIONS, TABLES
from pipeline.standing_commits import StandingCommits
from pipeline.store import Store, open_store
from pipeline.tables import part_sequence

__all__ = ["connect"]

# Tables without a commit of their own are shown as they are.
PLAIN_TABLES = ("runs", "settings")

# What a plain table's files are called; what else lies there is not ours.
PLAIN_PARTS = "part-*.parquet"

_SQL_TYPES = {pa.string(): "VARCHAR", pa.date32(): "DATE"}

# Which column of ``videos`` names the commit that a table's current rows stand under.
COMMIT_COLUMNS = {
    "scenes": "scenes_commit_id",
    "clips": "commit_id",
    "embeddings": "commit_id",
    "thumbnails": "commit_id",
}


def connect(root: str | Store, *, memory_mib: int | None = None) -> duckdb.DuckDBPyConnection:
    """Connection with the views of a dataset, named by its root or already opened.

    They are videos (the current row of each), all_videos, scenes, clips, embeddings, thumbnails,
    runs and settings, as they are now: what is committed later, another connection sees. A table
    that has no part yet is an empty view of its schema.

    Args:
        root: the dataset.
        memory_mib: what queries may take, beyond which they go to TMPDIR. Default: DuckDB's own.

    Raises:
        DatasetError: if there is no dataset under the root, or no video in it yet.
        PartDamaged: if a part of its videos cannot be read, or is none of ours.
    """
    store = open_store(root) if isinstance(root, str) else root
    # The commits are listed before what they wrote, which was there before them. Each is looked at:
    # a video whose row is not seen would be taken for one that is to be done.
    commits = StandingCommits.of(store)
    if not commits.sequences:
        raise DatasetError(
            f"there is no dataset in {store.root!r}: no video under {store.uri('videos')}; "
            f"expected the --out of an index run that has finished one"
        )
    parts = _parts(store, commits)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if memory_mib is not None:
        connection.execute(f"SET memory_limit = '{memory_mib}MiB'")
        connection.execute("SET temp_directory = $folder", {"folder": tempfile.gettempdir()})
    if store.filesystem is not None:
        connection.register_filesystem(store.filesystem)
    for table in TABLES:
        _source(connection, table, [store.uri(path) for path in parts[table]])
    # Commit ids sort as the commits do; the latest one of a video is its current row, but that it
    # could not be had hides nothing that was known of it. That a file could not be had is past once
    # anything later is known of its name, or of the same range of it; and where it had no version
    # because it was missing, as soon as anything else is.
    connection.execute(
        f"""CREATE VIEW videos AS SELECT * FROM all_videos
           WINDOW named AS (PARTITION BY uri, range_start_s, range_end_s)
           QUALIFY row_number() OVER (
               PARTITION BY video_id
               ORDER BY status = '{Status.UNAVAILABLE}', commit_id DESC) = 1
           AND NOT (status = '{Status.UNAVAILABLE}' AND (
               commit_id < max(commit_id) OVER named
               OR version = '' AND count(*) FILTER (version <> '') OVER named > 0))"""
    )
    for table, column in COMMIT_COLUMNS.items():
        connection.execute(
            f"""CREATE VIEW {table} AS SELECT part.* FROM all_{table} AS part
                SEMI JOIN videos ON part.video_id = videos.video_id
                AND part.commit_id = videos.{column}"""
        )
    return connection


def _parts(store: Store, commits: StandingCommits) -> dict[str, Sequence[str]]:
    """Table to its parts, sorted; data parts are those of commits that stand."""
    parts = {"videos": commits.parts}
    for table in COMMIT_COLUMNS:
        parts[table] = [
            path for path in store.list(table) if part_sequence(path) in commits.sequences
        ]
    for table in PLAIN_TABLES:
        paths = store.list(table)
        parts[table] = [path for path in paths if fnmatch(os.path.basename(path), PLAIN_PARTS)]
    return parts


def _source(connection: duckdb.DuckDBPyConnection, table: str, parts: Sequence[str]) -> None:
    """A view of all rows of a table: our columns, whatever other version wrote its parts."""
    view = table if table in PLAIN_TABLES else f"all_{table}"
    # Sorted, as DuckDB itself gives columns that stand in the path.
    in_path = sorted(PARTITIONS.get(table, pa.schema([])), key=lambda column: column.name)
    columns = [*TABLES[table], *in_path]
    connection.register(f"empty_{table}", pa.schema(columns).empty_table())
    rows = f"SELECT * FROM empty_{table}"
    if parts:
        if table == "embeddings":  # whose width only the parts know
            rows = f"SELECT * EXCLUDE (embedding) FROM empty_{table}"
        names = ", ".join(f"'{_literal(part)}'" for part in parts)
        # By hand, since DuckDB would also take a folder above the root for a column.
        values = [
            f"CAST(regexp_extract(filename, '.*/{column.name}=([^/]*)/', 1)"
            f" AS {_SQL_TYPES[column.type]}) AS {column.name}"
            for column in in_path
        ]
        stored = f"""SELECT {", ".join(["* EXCLUDE (filename)", *values])}
                    FROM read_parquet([{names}], hive_partitioning = false,
                                      union_by_name = true, filename = true)"""
        ours = ", ".join(column.name for column in columns)
        rows = f"SELECT {ours} FROM ({rows} UNION ALL BY NAME {stored})"
    connection.execute(f"CREATE VIEW {view} AS {rows}")


def _literal(path: str) -> str:
    """The path as a glob that matches itself alone, in SQL."""
    return re.sub(r"([*?\[])", r"[\1]", path).replace("'", "''")
