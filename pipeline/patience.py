"""Requests that are made again, after longer and longer waits; what is absent is no failure.

What was refused, or has changed meanwhile, is not asked for again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from flexivideo.errors import StoreError
from pipeline.outcomes import ErrorKind

__all__ = ["PATIENT_TRIES", "TRIES", "TornReply", "if_there", "patiently"]

# Of one request; together they wait for 3 s.
TRIES, FIRST_WAIT_S = 5, 0.2

# Of a request for the dataset itself, without which nothing goes on: 50 s.
PATIENT_TRIES = 9

Answer = TypeVar("Answer")


class TornReply(OSError):
    """A reply that is not what was asked for."""


def if_there(asked: Callable[[], Answer]) -> Answer | None:
    """What is asked for; None where the store says that there is no such object."""
    try:
        return asked()
    except StoreError as error:
        if error.error_kind == ErrorKind.SOURCE_MISSING:
            return None
        raise


async def patiently(attempt: Callable[[], Awaitable[Answer]], tries: int = TRIES) -> Answer:
    """What an attempt gives; made again where that can help.

    Raises:
        StoreError: what the attempt raised, if another one cannot help, or did not.
    """
    for n_failures in range(1, tries + 1):
        try:
            return await attempt()
        except StoreError as error:
            if error.error_kind != ErrorKind.SOURCE_UNAVAILABLE or n_failures == tries:
                raise
        await asyncio.sleep(FIRST_WAIT_S * 2 ** (n_failures - 1))
    raise ValueError(f"tries is {tries}; expected at least one")
