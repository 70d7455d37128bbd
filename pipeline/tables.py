"""Parquet parts: written by schema, never inferred, in row groups, with flat memory."""

from collections.abc import Iterable
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store import Store

__all__ = [
    "SEQUENCE_DIGITS",
    "PartWriter",
    "part_name",
    "part_sequence",
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
