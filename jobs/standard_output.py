"""Standard output for the job's own words alone: what libraries print goes to standard error."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["own_stdout", "reader_has_gone"]

STDOUT, STDERR = 1, 2


@contextmanager
def own_stdout() -> Iterator[TextIO]:
    """A stream to standard output, while everybody else's writes to it go to standard error.

    Also those of other languages: Ray's C++ side and its messages about workers do not ask.
    """
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    with os.fdopen(os.dup(STDOUT), "w", encoding="utf-8", buffering=1) as own:
        os.dup2(STDERR, STDOUT)
        try:
            yield own
        finally:
            sys.stdout.flush()
            os.dup2(kept, STDOUT)
            os.close(kept)


def reader_has_gone() -> bool:
    """Whether nobody reads our output any more, as behind ``| head``."""
    outputs = select.poll()
    for output in (STDOUT, STDERR):
        outputs.register(output, 0)  # what has broken is told unasked
    return bool(outputs.poll(0))
