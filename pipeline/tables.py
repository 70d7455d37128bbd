"""Parquet parts: written by schema, never inferred, in row groups, with flat memory."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store import Store

__all__ = ["PartWriter", "part_name", "part_sequence", "write_part"]

ROW_GROUP_ROWS = 100_000

# Wide rows (vectors, pictures) make a row group long before they are that many.
ROW_GROUP_BYTES = 64 * 2**20


def part_name(sequence: int) -> str:
    """File name of a sequence number: zero-padded, so that names sort as numbers do."""
    return f"part-{sequence:012d}.parquet"


def part_sequence(path: str) -> int | None:
    """Sequence number of a part's path; None for any other file."""
    name = path.rsplit("/", 1)[-1]
    digits = name.removeprefix("part-").removesuffix(".parquet")
    return int(digits) if name == f"part-{digits}.parquet" and digits.isdecimal() else None


class PartWriter:
    """Writes one part into a staging file; :meth:`publish` makes it visible, all at once."""

    def __init__(self, store: Store, schema: pa.Schema) -> None:
        self._store, self._schema = store, schema
        self._staged = store.staging_file()
        self._writer = pq.ParquetWriter(
            self._staged, schema, compression="zstd", write_page_index=True
        )
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows, which must have the part's schema."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= ROW_GROUP_ROWS or self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def publish(self, path: str) -> bool:
        """Finish the part and give it its name; False if the name is taken."""
        self._flush()
        self._writer.close()
        return self._store.create_if_absent(path, self._staged)

    def discard(self) -> None:
        """Leave no trace."""
        self._writer.close()
        self._staged.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._waiting_rows:
            table = pa.Table.from_batches(self._waiting, schema=self._schema)
            self._writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0


def write_part(
    store: Store, path: str, schema: pa.Schema, rows: Iterable[dict[str, object]]
) -> bool:
    """Write a small part of rows that are all there; False if the name is taken."""
    writer = PartWriter(store, schema)
    writer.write(pa.RecordBatch.from_pylist(list(rows), schema=schema))
    return writer.publish(path)
