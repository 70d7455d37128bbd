"""A run's hold on a root: the lease taken, a sequence number sealed, leftovers removed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from flexivideo.errors import LeaseLost, SettingsError
from pipeline.erasure import finish_erasures
from pipeline.run_lease import Clock, KilledRun, Lease, acquire, utc_now
from pipeline.schemas import VIDEOS
from pipeline.standing_commits import StandingCommits
from pipeline.store import UNFINISHED, Store
from pipeline.tables import part_name, part_sequence, write_part

__all__ = ["IndexSession", "open_for_index"]

ROLE = "index"

# Tables whose parts mean nothing without the ``videos`` part of their sequence number.
DATA_TABLES = ("scenes", "clips", "embeddings", "thumbnails")

RENEWALS_PER_LEASE = 3


class IndexSession:
    """The right to commit to a root.

    Attributes:
        store: the root.
        run_id: the holder.
        clock: UTC.
        started_at: when the root was taken.
        had_parts: whether anybody has begun or committed anything here before.
    """

    def __init__(self, store: Store, lease: Lease, clock: Clock) -> None:
        self.store, self.clock, self._lease = store, clock, lease
        self.run_id = lease.record.run_id
        self.started_at = datetime.fromisoformat(lease.record.started_at)
        self._sequence = _seal(store)
        self.had_parts = self._sequence > 0
        self._lost: LeaseLost | None = None

    @property
    def killed(self) -> tuple[KilledRun, ...]:
        """Runs before this one that were killed and have no row yet."""
        return self._lease.record.killed

    def killed_are_noted(self) -> None:
        """Forget them."""
        self._lease.killed_are_noted()

    def next_sequence(self) -> int:
        """The sequence number after the last one.

        A successor seals the number after the last that was committed, so numbers must have no
        holes: after a commit that failed there is no further one in the same session.
        """
        self._sequence += 1
        return self._sequence

    def check(self) -> None:
        """See that the root is still ours.

        Raises:
            LeaseLost: if it is not.
        """
        if self._lost is None:
            self.renew()
        if self._lost is not None:
            raise self._lost

    def renew(self) -> None:
        """Renew the lease; that it was lost is told by :meth:`check`."""
        try:
            self._lease.renew()
        except LeaseLost as lost:
            self._lost = lost


@contextmanager
def open_for_index(
    store: Store, *, run_id: str, lease_s: float, clock: Clock = utc_now
) -> Iterator[IndexSession]:
    """Hold a root for writing.

    Raises:
        LeaseHeld: if another run holds it.
        PartDamaged: if it cannot be told which commits stand.
    """
    lease = acquire(store, ROLE, run_id=run_id, lease_s=lease_s, clock=clock)
    try:
        session = IndexSession(store, lease, clock)
        if session.had_parts:  # else what lies in the folder is nobody's orphan
            remove_orphans(store)
            finish_erasures(store, check=session.check)
        with _renewing(session, lease_s / RENEWALS_PER_LEASE):
            yield session
    finally:
        lease.release()


def remove_orphans(store: Store) -> list[str]:
    """Remove what dead runs left: unfinished files, and data parts that no commit names.

    Files that are not called as a part is, anybody may have put there: they stay.
    """
    removed = [path for path in store.list(".staging") if path.endswith(UNFINISHED)]
    committed = StandingCommits.of(store).sequences
    for table in DATA_TABLES:
        for path in store.list(table):
            sequence = part_sequence(path)
            if sequence is not None and sequence not in committed:
                removed.append(path)
    for path in removed:
        store.delete(path)
    return removed


def _seal(store: Store) -> int:
    """Take the next sequence number with an empty part, so that no predecessor can use it.

    Raises:
        SettingsError: if the store gives a name twice, so that nobody would be kept from anything.
    """
    used = [part_sequence(path) for path in store.list("videos")]
    sequence = max((number for number in used if number is not None), default=-1) + 1
    while not write_part(store, f"videos/{part_name(sequence)}", VIDEOS, []):
        sequence += 1  # a predecessor's last commit came in between
    if write_part(store, f"videos/{part_name(sequence)}", VIDEOS, []):
        raise SettingsError(
            f"the store of {store.root!r} replaced an object that was to be created only if it was "
            f"absent; expected one that honours If-None-Match and If-Match"
        )
    return sequence


@contextmanager
def _renewing(session: IndexSession, every_s: float) -> Iterator[None]:
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(every_s):
            with suppress(OSError):  # tried again long before it runs out, and before each commit
                session.renew()

    thread = threading.Thread(target=renew, name="lease-renewal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
