"""What the machine ran short of while decoding: never the video's fault.

libav cannot start a thread under a tight memory or process limit and says EAGAIN ("Resource
temporarily unavailable") of whatever it was about to do, and ENOMEM where it was refused memory. As
the child's own lack of memory either is tried again, and then quarantined, which other limits undo.

But a broken file can ask for any size, and some decoders call it broken data when memory was
refused. So what counts is the room that is left under the process's limit.
"""

import errno
import os
import resource
from pathlib import Path

__all__ = ["is_short", "raise_if_short"]

# libav gives nobody more at once, whatever the limit: who is refused beside so much room asked for
# more than any video needs.
MOST_BYTES = 2**31

STATM = Path("/proc/self/statm")


def raise_if_short(error: BaseException) -> None:
    """Raise MemoryError in place of an error that says so in libav's way.

    Raises:
        MemoryError: if the machine was at fault.
    """
    if is_short(error):
        raise MemoryError(f"the machine ran short of threads or memory: {error}") from error


def is_short(error: BaseException, *, asked_bytes: int = 0) -> bool:
    """Whether the machine, or the limit set for this process, was at fault.

    Args:
        error: what libav said.
        asked_bytes: what it may have needed; if there was no room for it, that was it.
    """
    number = getattr(error, "errno", None)
    refused = number == errno.ENOMEM and not _has_room_for(MOST_BYTES)
    return number == errno.EAGAIN or refused or not _has_room_for(asked_bytes)


def _has_room_for(n_bytes: int) -> bool:
    """Whether so much more would have fitted under the process's own memory limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return True
    used = int(STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return used + n_bytes <= limit
