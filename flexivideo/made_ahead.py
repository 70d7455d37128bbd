"""One ahead: what the next batch needs is made by another thread while the model has this one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import TypeVar

__all__ = ["made_ahead"]

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(
    make: Callable[[Item], Made], items: Sequence[Item], *, has_time: bool
) -> Iterator[tuple[Item, Callable[[], Made]]]:
    """Each item with a function that gives what is made of it, or raises what making it raised.

    Never more than one is made that was not yet asked for.

    Args:
        make: makes it.
        items: of each of these.
        has_time: whether the processor idles while an item is used, as beside a GPU. If not, each
            is made when it is asked for: two threads would only take turns.
    """
    if not items or not has_time:
        yield from ((item, partial(make, item)) for item in items)
        return
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(make, items[0])
        for item, following in pairwise(items):
            current, coming = coming, thread.submit(make, following)
            yield item, current.result
        yield items[-1], coming.result
