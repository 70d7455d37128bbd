"""Which process of which machine: enough to see, from that machine, that a process is gone.

A process is told from a later one under the same number by its start in clock ticks since boot,
which the kernel never changes; a start in seconds since the epoch moves when the clock is set.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessIdentity", "this_process"]

PROC = Path("/proc")

# Killed, but not yet waited for by its parent: it will never write again.
GONE_STATES = frozenset("ZX")


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process.

    Attributes:
        host: its machine's name.
        boot_id: that machine's boot; no process outlives it.
        pid_namespace: the namespace (a container's, or the machine's) that ``pid`` counts in.
        pid: its number there.
        start_ticks: when it started, clock ticks since boot.
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int

    def is_gone(self) -> bool:
        """Whether it has certainly ended; False too where nothing can be said from here."""
        here = this_process()
        if not here.boot_id or (here.host, here.boot_id) != (self.host, self.boot_id):
            return False
        if here.pid_namespace != self.pid_namespace:
            return False
        return _start_ticks(self.pid) != self.start_ticks


def this_process() -> ProcessIdentity:
    """The process that asks; blank where the system does not say (no ``/proc``)."""
    try:
        boot_id = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        pid_namespace = os.readlink(PROC / "self/ns/pid")
    except OSError:
        boot_id, pid_namespace = "", ""
    return ProcessIdentity(
        host=socket.gethostname(),
        boot_id=boot_id,
        pid_namespace=pid_namespace,
        pid=os.getpid(),
        start_ticks=_start_ticks(os.getpid()) or 0,
    )


def _start_ticks(pid: int) -> int | None:
    """Field 22 of ``/proc/<pid>/stat``; None if there is no such process, or only its corpse."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name before the last parenthesis may hold anything; the state (field 3) follows it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in GONE_STATES else int(fields[19])
