"""The rows of one video as a dataset stores them, found by the commit that wrote them."""

from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.identity import commit_sequence
from pipeline.part_reading import reading_part
from pipeline.store import Store
from pipeline.tables import part_sequence

__all__ = ["StoredRows"]


class StoredRows:
    """Looks up one video at a time; holds the names of parts, and one open part a table."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: dict[str, dict[int | None, str]] = {}
        self._files: dict[str, tuple[str, BinaryIO]] = {}

    def of(
        self, table: str, video_id: str, commit_id: str, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Rows of a video that a commit wrote into a table, in no order; none if there are none.

        Args:
            table: such as "clips".
            video_id: of the video.
            commit_id: of the commit.
            columns: which; None: all.

        Raises:
            PartDamaged: if the part that holds them cannot be read.
        """
        part = self._part(table, commit_sequence(commit_id))
        if part is None:
            return pa.table({})
        try:
            file = self._file(table, part)
            with reading_part(self._store, part):
                return pq.read_table(
                    file,
                    columns=columns and list(columns),
                    filters=[("video_id", "=", video_id), ("commit_id", "=", commit_id)],
                    partitioning=None,
                )
        except FileNotFoundError:  # gone since it was listed
            del self._parts[table]
            return pa.table({})

    def _file(self, table: str, part: str) -> BinaryIO:
        """The part, open; the last one of each table stays so, since videos come part by part."""
        name, file = self._files.get(table, ("", None))
        if name != part or file is None:
            if file is not None:
                file.close()
            file = self._store.open(part)
            self._files[table] = part, file
        return file

    def _part(self, table: str, sequence: int) -> str | None:
        if sequence not in self._parts.get(table, ()):  # newer than what was listed
            self._parts[table] = {part_sequence(path): path for path in self._store.list(table)}
        return self._parts[table].get(sequence)
