"""One writer a root and role: a lease with a fencing token, kept in one object that stays for ever.

Whoever takes the lease raises the token by one with a compare-and-swap, so two takers cannot both
win. A lease is free when it was released, when it has not been renewed in time, or at once when its
holder was a process of this machine that is gone. The clock is passed in.
"""

import json
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flexivideo.errors import DatasetError, LeaseHeld, LeaseLost
from pipeline.process_identity import ProcessIdentity, this_process
from pipeline.store import Store

__all__ = ["KilledRun", "Lease", "LeaseRecord", "acquire", "utc_now"]

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class KilledRun:
    """A run that never gave its lease back.

    Attributes:
        run_id: which.
        started_at: when it took the lease, ISO 8601, UTC.
        host: its machine.
    """

    run_id: str
    started_at: str
    host: str


@dataclass(frozen=True, kw_only=True)
class LeaseRecord:
    """What stands in the lease's object.

    Attributes:
        token: how often the lease was taken so far; grows for ever.
        run_id: the holder.
        started_at: when it took the lease, ISO 8601, UTC.
        expires_at: until when it holds it unless renewed, ISO 8601, UTC.
        released: whether the holder gave it back.
        process: the holder's.
        killed: runs before it that were killed and are not noted elsewhere yet.
        nonce: makes every record unlike any other.
    """

    token: int
    run_id: str
    started_at: str
    expires_at: str
    released: bool
    process: ProcessIdentity
    killed: tuple[KilledRun, ...]
    nonce: str

    @classmethod
    def parse(cls, path: str, content: bytes | None) -> "LeaseRecord | None":
        """The record in an object; None where there is none yet.

        Raises:
            DatasetError: if the object holds something else.
        """
        if content is None:
            return None
        try:
            fields = json.loads(content)
            process = ProcessIdentity(**fields.pop("process"))
            killed = tuple(KilledRun(**run) for run in fields.pop("killed"))
            return cls(**fields, process=process, killed=killed)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(
                f"{path} is no lease of this release ({error}): it begins {content[:40]!r}; "
                f"if no run is going on, remove it and start again"
            ) from error

    def content(self) -> bytes:
        """As it stands in the object."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    def is_free(self, now: datetime) -> bool:
        """Whether the lease may be taken."""
        expired = now >= datetime.fromisoformat(self.expires_at)
        return self.released or expired or self.process.is_gone()

    def left_behind(self) -> tuple[KilledRun, ...]:
        """What the next holder has to note: the killed runs, this one with them if it was one."""
        if self.released:
            return self.killed
        this = KilledRun(run_id=self.run_id, started_at=self.started_at, host=self.process.host)
        return (*self.killed, this)


def utc_now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)


def acquire(
    store: Store, role: str, *, run_id: str, lease_s: float, clock: Clock = utc_now
) -> "Lease":
    """Take the lease of a role.

    Raises:
        LeaseHeld: if another run holds it; the message says who and until when.
        DatasetError: if what stands in its place is no lease.
    """
    path = f"leases/{role}.json"
    content = store.read(path)
    before = LeaseRecord.parse(store.uri(path), content)
    now = clock()
    if before is not None and not before.is_free(now):
        raise LeaseHeld(
            f"{store.root} is being written by run {before.run_id} (process {before.process.pid} "
            f"on {before.process.host}), which holds it until {before.expires_at} unless it "
            f"renews; wait for it to end, or choose another root"
        )
    record = LeaseRecord(
        token=before.token + 1 if before else 1,
        run_id=run_id,
        started_at=now.isoformat(),
        expires_at=(now + timedelta(seconds=lease_s)).isoformat(),
        released=False,
        process=this_process(),
        killed=before.left_behind() if before else (),
        nonce=secrets.token_hex(8),
    )
    if not store.compare_and_swap(path, content, record.content()):
        raise LeaseHeld(f"another run took {store.root} just now; wait for it to end")
    return Lease(store, path, record, lease_s, clock)


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

    def killed_are_noted(self) -> None:
        """Forget the killed runs before this one.

        Raises:
            LeaseLost: if somebody else has it.
        """
        self._swap(killed=())

    def release(self) -> None:
        """Give it back; if it was lost meanwhile, there is nothing to give."""
        with suppress(LeaseLost):
            self._swap(released=True)

    def _swap(self, **changes: Any) -> None:
        with self._lock:
            # A swap whose reply was lost may have landed, so what stands there is looked at again;
            # the token says whether it is ours, since no two takers have the same.
            content = self._store.read(self._path)
            record = LeaseRecord.parse(self._store.uri(self._path), content)
            if record is not None and record.token == self.record.token:
                self.record = replace(record, nonce=secrets.token_hex(8), **changes)
                if self._store.compare_and_swap(self._path, content, self.record.content()):
                    return
            raise LeaseLost(
                f"run {self.record.run_id} no longer holds {self._store.root}: another run "
                f"took the lease after it was not renewed in time; nothing more may be committed"
            )
