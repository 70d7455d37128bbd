"""Parts that are written again: the few changes that a dataset's rows live through.

Rows are added by commits and are never changed, but for two things: that a source is gone, which is
noted, and that a video has to be erased. Each part is replaced whole, by compare-and-swap, so that
a reader sees it as it was or as it is.
"""

import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.part_reading import reading_part
from pipeline.store import Store
from pipeline.tables import write_table

__all__ = ["rewrite_part"]


def rewrite_part(
    store: Store,
    path: str,
    change: Callable[[pa.Table], pa.Table],
    *,
    check: Callable[[], None],
) -> bool:
    """Replace a part by what a function makes of its rows; whether anything was to be changed.

    Args:
        store: the root.
        path: the part; one that is absent has nothing to be changed.
        change: gives rows of the same schema. It may be called again, where somebody else replaced
            the part meanwhile.
        check: called just before and after it is replaced; raises if the root is held no longer.
            Who has slept in between can still replace it once, by what it read itself: a later
            holder's change of the same part makes that fail.

    Raises:
        PartDamaged: if the part cannot be read.
    """
    while (content := store.read(path)) is not None:
        with reading_part(store, path), pq.ParquetFile(io.BytesIO(content)) as file:
            rows = file.read()
        changed = change(rows)
        if changed.equals(rows):
            return False
        written = io.BytesIO()
        write_table(changed, written)
        check()
        if store.compare_and_swap(path, content, written.getvalue()):
            check()
            return True
    return False
