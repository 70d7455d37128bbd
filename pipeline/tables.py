"""Parquet parts: written by schema, never inferred, in row groups, with flat memory."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from flexivideo.errors import PartDamaged
from pipeline.store import Store

__all__ = [
    "SEQUENCE_DIGITS",
    "PartWriter",
    "checked_n_rows",
    "n_rows",
    "part_name",
    "part_sequence",
    "reading_part",
    "settings_part",
    "write_part",
    "write_table",
]

FORMAT = {"compression": "zstd", "write_page_index": True}

ROW_GROUP_ROWS = 100_000

# Rows are turned from Python into Arrow so many at a time.
BATCH_ROWS = 1024

# Wide rows (vectors, pictures) make a row group long before that many. It is held in memory several
# times over while it is encoded: it is what a long video's commit costs the driver.
ROW_GROUP_BYTES = 16 * 2**20

# A part in an object store is a wait more than work.
FOOTERS_AT_ONCE = 16

# What other tools call a text; in the file it is the same.
OTHER_TEXTS = (pa.large_string(), pa.string_view())

# Zero-padded, so that names sort as numbers do.
SEQUENCE_DIGITS = 12


def part_name(sequence: int) -> str:
    """File name of a sequence number."""
    return f"part-{sequence:0{SEQUENCE_DIGITS}d}.parquet"


def settings_part(settings_id: str) -> str:
    """Path of the part that says what an id of settings stands for."""
    return f"settings/part-{settings_id}.parquet"


def part_sequence(path: str) -> int | None:
    """Sequence number of a part's path; None for any other file."""
    name = path.rsplit("/", 1)[-1]
    digits = name.removeprefix("part-").removesuffix(".parquet")
    is_part = len(digits) == SEQUENCE_DIGITS and digits.isascii() and digits.isdecimal()
    return int(digits) if is_part and name == part_name(int(digits)) else None


@contextmanager
def reading_part(store: Store, path: str) -> Iterator[None]:
    """Around what Arrow reads of a part.

    Raises:
        PartDamaged: where Arrow does not understand it; what the store says goes through.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        # Arrow's own OSError is a plain one without a number; a disk's and a store's are not.
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise
        raise _damaged(store, path, f"cannot be read: {error}") from error


def n_rows(store: Store, path: str) -> int:
    """Rows of a part, as its footer says.

    Raises:
        PartDamaged: if it has none.
    """
    return _footer(store, path).num_rows


def checked_n_rows(
    store: Store, paths: Iterable[str], schema: pa.Schema, *, newer: Iterable[str] = ()
) -> dict[str, int]:
    """Rows of each part, once each was found to be one of a table.

    Args:
        store: the root.
        paths: of the parts.
        schema: of the table, columns of plain types. Parts of later versions may have others too.
        newer: columns that parts of earlier versions lack, beside the nullable ones.

    Raises:
        PartDamaged: if a part cannot be read, or a column is missing or of another type.
    """
    needed = {column.name for column in schema if not column.nullable} - set(newer)

    def checked(path: str) -> tuple[str, int]:
        footer = _footer(store, path)
        there = footer.schema.to_arrow_schema()
        if missing := [name for name in schema.names if name in needed - set(there.names)]:
            raise _damaged(store, path, f"lacks the columns {', '.join(missing)}")
        for column in there:
            kind = schema.field(column.name).type if column.name in schema.names else column.type
            if column.type != kind and not (kind == pa.string() and column.type in OTHER_TEXTS):
                raise _damaged(
                    store, path, f"has a column {column.name} of {column.type}, which is {kind}"
                )
        return path, footer.num_rows

    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        return dict(pool.map(checked, paths))


def _footer(store: Store, path: str) -> pq.FileMetaData:
    with store.open(path) as file, reading_part(store, path):
        return pq.read_metadata(file)


def _damaged(store: Store, path: str, what: str) -> PartDamaged:
    table = path.partition("/")[0]
    return PartDamaged(
        f"the dataset's part {store.uri(path)!r} {what}; expected a whole part of our table "
        f"{table}: restore the file from a copy, or index into another root"
    )


def write_table(rows: pa.Table, file: BinaryIO) -> None:
    """Write rows that are all in memory, in row groups as :class:`PartWriter` makes them."""
    row_bytes = max(1, rows.nbytes // max(1, rows.num_rows))
    group_rows = max(1, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // row_bytes))
    pq.write_table(rows, file, row_group_size=group_rows, **FORMAT)


class PartWriter:
    """Writes one part into a staging file; :meth:`publish` makes it visible, all at once."""

    def __init__(self, store: Store, schema: pa.Schema) -> None:
        self._store, self._schema = store, schema
        self._staged = store.staging_file()
        self._writer = pq.ParquetWriter(self._staged, schema, **FORMAT)
        self._rows: list[dict[str, Any]] = []
        self._batches: list[pa.RecordBatch] = []

    def write(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows; columns that a row does not name are null, others are left out."""
        self._rows.extend(rows)
        if len(self._rows) >= BATCH_ROWS:
            self._make_batch()
            n_rows = sum(batch.num_rows for batch in self._batches)
            n_bytes = sum(batch.nbytes for batch in self._batches)
            if n_rows >= ROW_GROUP_ROWS or n_bytes >= ROW_GROUP_BYTES:
                self._write_row_group()

    def publish(self, path: str) -> bool:
        """Finish the part and give it its name; False if the name is taken."""
        self._make_batch()
        self._write_row_group()
        self._writer.close()
        return self._store.create_if_absent(path, self._staged)

    def discard(self) -> None:
        """Leave no trace."""
        self._writer.close()
        self._staged.close()

    def _make_batch(self) -> None:
        # A row each would take a hundred times its bytes in buffers and objects.
        if self._rows:
            self._batches.append(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def _write_row_group(self) -> None:
        if self._batches:
            table = pa.Table.from_batches(self._batches, schema=self._schema)
            self._writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
            self._batches = []


def write_part(store: Store, path: str, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> bool:
    """Write a small part of rows that are all there; False if the name is taken."""
    writer = PartWriter(store, schema)
    writer.write(rows)
    return writer.publish(path)
