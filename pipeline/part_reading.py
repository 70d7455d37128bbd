"""Parquet parts as they are read: one that cannot be is named, with what to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from flexivideo.errors import PartDamaged
from pipeline.store import Store

__all__ = ["damaged_part", "footer", "reading_part"]


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
        raise damaged_part(store, path, f"cannot be read: {error}") from error


def footer(store: Store, path: str) -> pq.FileMetaData:
    """What a part says of itself: its rows, its columns.

    Raises:
        PartDamaged: if it has none.
    """
    with store.open(path) as file, reading_part(store, path):
        return pq.read_metadata(file)


def damaged_part(store: Store, path: str, what: str) -> PartDamaged:
    """The error about a part, and what is wrong with it."""
    table = path.partition("/")[0]
    return PartDamaged(
        f"the dataset's part {store.uri(path)!r} {what}; expected a whole part of our table "
        f"{table}: restore the file from a copy, or index into another root"
    )
