"""What the machine ran short of while decoding: never the video's fault.

libav cannot start a thread under a tight memory or process limit and says EAGAIN ("Resource
temporarily unavailable") of whatever it was about to do. As the child's own lack of memory it is
tried again, and then quarantined, which other limits undo.
"""

import errno

__all__ = ["raise_if_short"]


def raise_if_short(error: BaseException) -> None:
    """Raise MemoryError in place of an error that says so in libav's way.

    Not for ENOMEM of a single packet: a broken one can ask for any size.

    Raises:
        MemoryError: if the machine was at fault.
    """
    if getattr(error, "errno", None) == errno.EAGAIN:
        raise MemoryError(f"the machine ran short of threads or memory: {error}") from error
