"""What the machine ran short of while decoding: never the video's fault.

libav cannot start a thread under a tight memory or process limit and says EAGAIN ("Resource
temporarily unavailable") of whatever it was about to do, and ENOMEM where it was refused memory. As
the child's own lack of memory either is tried again, and then quarantined, which other limits undo.
A single packet is another matter: a broken one can ask for any size, and the rest may still be
read, so its ENOMEM is only counted. Some decoders call it broken data when memory was refused; then
the room that is left under the process's limit tells.
"""

import errno
import os
import resource
from pathlib import Path

__all__ = ["has_room_for", "is_out_of_memory", "raise_if_short"]

STATM = Path("/proc/self/statm")


def raise_if_short(error: BaseException) -> None:
    """Raise MemoryError in place of an error that says so in libav's way.

    Raises:
        MemoryError: if the machine was at fault.
    """
    if getattr(error, "errno", None) == errno.EAGAIN or is_out_of_memory(error):
        raise MemoryError(f"the machine ran short of threads or memory: {error}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused."""
    return getattr(error, "errno", None) == errno.ENOMEM


def has_room_for(n_bytes: int) -> bool:
    """Whether so much more would have fitted under the process's own memory limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return True
    used = int(STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return used + n_bytes <= limit
