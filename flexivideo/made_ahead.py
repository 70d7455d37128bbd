"""One ahead: what the next batch needs is made by another thread while the model has this one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

__all__ = ["made_ahead"]

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(
    make: Callable[[Item], Made], items: Sequence[Item]
) -> Iterator[tuple[Item, Future[Made]]]:
    """Each item with what is made of it, or with what was raised in making it.

    Never more than one is made that was not yet asked for.
    """
    if not items:
        return
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(make, items[0])
        for item, following in pairwise(items):
            current, coming = coming, thread.submit(make, following)
            yield item, current
        yield items[-1], coming
