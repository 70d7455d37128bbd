"""One writer a root and role: a lease with a fencing token, kept in one object that stays for ever.

Whoever takes the lease raises the token by one with a compare-and-swap, so two takers cannot both
win. A lease is free when it was released, when it has not been renewed in time, or at once when its
holder was a process of this machine that is gone. The clock is passed in.
"""

import json
import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from flexivideo.errors import LeaseHeld, LeaseLost
from pipeline.store import Store

__all__ = ["Lease", "LeaseRecord", "acquire", "utc_now"]

Clock = Callable[[], datetime]

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, kw_only=True)
class LeaseRecord:
    """What stands in the lease's object.

    Attributes:
        token: how often the lease was taken so far; grows for ever.
        run_id: the holder.
        started_at: when it took the lease, ISO 8601, UTC.
        expires_at: until when it holds it unless renewed, ISO 8601, UTC.
        released: whether the holder gave it back.
        host: its machine.
        boot_id: that machine's boot; the process id means nothing after another one.
        pid: its process.
        process_started_s: when that process began, seconds since the epoch.
        nonce: makes every record unlike any other.
    """

    token: int
    run_id: str
    started_at: str
    expires_at: str
    released: bool
    host: str
    boot_id: str
    pid: int
    process_started_s: float
    nonce: str

    @classmethod
    def parse(cls, content: bytes | None) -> "LeaseRecord | None":
        """The record in an object; None where there is none yet."""
        return None if content is None else cls(**json.loads(content))

    def content(self) -> bytes:
        """As it stands in the object."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    def is_free(self, now: datetime) -> bool:
        """Whether the lease may be taken."""
        expired = now >= datetime.fromisoformat(self.expires_at)
        return self.released or expired or self._holder_is_gone()

    def _holder_is_gone(self) -> bool:
        if (self.host, self.boot_id) != (socket.gethostname(), _boot_id()):
            return False  # nothing can be said of another machine's processes
        try:
            return psutil.Process(self.pid).create_time() != self.process_started_s
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False


def utc_now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)


def acquire(
    store: Store, role: str, *, run_id: str, lease_s: float, clock: Clock = utc_now
) -> tuple["Lease", LeaseRecord | None]:
    """Take the lease of a role; also gives the record of the holder before, None for the first.

    Raises:
        LeaseHeld: if another run holds it; the message says who and until when.
    """
    path = f"leases/{role}.json"
    content = store.read(path)
    before = LeaseRecord.parse(content)
    now = clock()
    if before is not None and not before.is_free(now):
        raise LeaseHeld(
            f"{store.root} is being written by run {before.run_id} (process {before.pid} on "
            f"{before.host}), which holds it until {before.expires_at} unless it renews; "
            f"wait for it to end, or choose another root"
        )
    process = psutil.Process()
    record = LeaseRecord(
        token=before.token + 1 if before else 1,
        run_id=run_id,
        started_at=now.isoformat(),
        expires_at=(now + timedelta(seconds=lease_s)).isoformat(),
        released=False,
        host=socket.gethostname(),
        boot_id=_boot_id(),
        pid=process.pid,
        process_started_s=process.create_time(),
        nonce=secrets.token_hex(8),
    )
    if not store.compare_and_swap(path, content, record.content()):
        raise LeaseHeld(f"another run took {store.root} just now; wait for it to end")
    return Lease(store, path, record, lease_s, clock), before


class Lease:
    """A lease that is held, until it is released or found lost."""

    def __init__(
        self, store: Store, path: str, record: LeaseRecord, lease_s: float, clock: Clock
    ) -> None:
        self._store, self._path, self._lease_s, self._clock = store, path, lease_s, clock
        self.record = record
        self._lock = threading.Lock()  # it is renewed by a thread, and before each commit

    def renew(self) -> None:
        """Hold it for another while.

        Raises:
            LeaseLost: if somebody else has it.
        """
        until = self._clock() + timedelta(seconds=self._lease_s)
        self._swap(expires_at=until.isoformat())

    def release(self) -> None:
        """Give it back; if it was lost meanwhile, there is nothing to give."""
        with suppress(LeaseLost):
            self._swap(released=True)

    def _swap(self, **changes: Any) -> None:
        with self._lock:
            record = replace(self.record, nonce=secrets.token_hex(8), **changes)
            before, after = self.record.content(), record.content()
            if not self._store.compare_and_swap(self._path, before, after):
                raise LeaseLost(
                    f"run {self.record.run_id} no longer holds {self._store.root}: another run "
                    f"took the lease after it was not renewed in time; nothing more may be "
                    f"committed"
                )
            self.record = record


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return str(os.stat("/proc/1").st_mtime_ns) if os.path.exists("/proc/1") else ""
