"""Which commits of a dataset stand: the numbered parts of ``videos``, each held against its schema.

A part without rows is a seal. What was written for its number, by whoever lost it, is about to be
removed.
"""

from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from pipeline.part_reading import damaged_part, footer
from pipeline.schemas import NEWER_COLUMNS, VIDEOS
from pipeline.store import Store
from pipeline.tables import part_sequence

__all__ = ["StandingCommits"]

# A part in an object store is a wait more than work.
FOOTERS_AT_ONCE = 16

# What other tools call a text; in the file it is the same.
OTHER_TEXTS = (pa.large_string(), pa.string_view())

# Parts of earlier versions lack these, and may lack the nullable ones.
NEEDED = {column.name for column in VIDEOS if not column.nullable} - set(NEWER_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class StandingCommits:
    """The commits of a dataset when it was looked at.

    Attributes:
        parts: of ``videos``, seals among them, as they are listed.
        sequences: numbers of the commits that hold videos.
    """

    parts: Sequence[str]
    sequences: Set[int]

    @classmethod
    def of(cls, store: Store) -> "StandingCommits":
        """Those of a root.

        Raises:
            PartDamaged: if a part cannot be read, or a column is missing or of another type.
        """
        numbers = {path: part_sequence(path) for path in store.list("videos")}
        parts = [path for path, number in numbers.items() if number is not None]
        with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
            counts = pool.map(lambda path: _n_videos(store, path), parts)
            filled = [path for path, count in zip(parts, counts, strict=True) if count]
        sequences = {number for path in filled if (number := numbers[path]) is not None}
        return cls(parts=parts, sequences=sequences)


def _n_videos(store: Store, path: str) -> int:
    """Rows of a part that was found to be one of ``videos``; later versions may have more columns.

    Raises:
        PartDamaged: if it is none.
    """
    found = footer(store, path)
    there = found.schema.to_arrow_schema()
    if missing := [name for name in VIDEOS.names if name in NEEDED - set(there.names)]:
        raise damaged_part(store, path, f"lacks the columns {', '.join(missing)}")
    for column in there:
        kind = VIDEOS.field(column.name).type if column.name in VIDEOS.names else column.type
        if column.type != kind and not (kind == pa.string() and column.type in OTHER_TEXTS):
            raise damaged_part(
                store, path, f"has a column {column.name} of {column.type}, which is {kind}"
            )
    return found.num_rows
