"""The most memory that this process has held."""

from pathlib import Path

__all__ = ["peak_bytes"]

KIB = 1024


def peak_bytes() -> int:
    """Largest resident memory since the process's program began.

    Not ``ru_maxrss``, which begins with the parent's.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * KIB
