import dataclasses
import json
import subprocess
import sys

import pytest
from dataset_helpers import ManualClock

from flexivideo.errors import LeaseHeld, LeaseLost
from pipeline.run_lease import LeaseRecord, acquire
from pipeline.store import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path))


@pytest.fixture
def clock():
    return ManualClock()


def take(store, clock, run_id="run"):
    return acquire(store, "index", run_id=run_id, lease_s=60, clock=clock)[0]


def test_a_held_lease_is_refused_with_its_holder_and_until_when(store, clock):
    lease = take(store, clock, "night")
    with pytest.raises(LeaseHeld, match="night") as refused:
        take(store, clock)
    assert lease.record.expires_at in str(refused.value)


def test_tokens_grow_with_every_holder(store, clock):
    tokens = []
    for _ in range(5):
        lease = take(store, clock)
        tokens.append(lease.record.token)
        lease.release()
    assert tokens == [1, 2, 3, 4, 5]


def test_an_expired_lease_is_free_and_its_old_holder_finds_out(store, clock):
    """A driver that slept must not go on."""
    sleeper = take(store, clock)
    clock.forward(61)
    successor = take(store, clock, "next")
    with pytest.raises(LeaseLost, match="no longer holds"):
        sleeper.renew()
    sleeper.release()  # nothing to give back
    successor.renew()


def test_renewing_keeps_it(store, clock):
    lease = take(store, clock)
    for _ in range(5):
        clock.forward(50)
        lease.renew()
    with pytest.raises(LeaseHeld):
        take(store, clock)


def test_a_lease_of_a_process_that_is_gone_is_free_at_once(store, clock):
    """After kill -9 nobody should have to wait for the lease to run out."""
    code = (
        "import sys, datetime\n"
        "from pipeline.run_lease import acquire\n"
        "from pipeline.store import LocalStore\n"
        "clock = lambda: datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)\n"
        "acquire(LocalStore(sys.argv[1]), 'index', run_id='dead', lease_s=9e6, clock=clock)\n"
    )
    subprocess.run([sys.executable, "-c", code, store.root], check=True)
    lease, before = acquire(store, "index", run_id="heir", lease_s=60, clock=clock)
    assert (before.run_id, lease.record.token) == ("dead", 2)


def test_nothing_is_said_of_another_machines_processes(store, clock):
    lease = take(store, clock)
    stranger = dataclasses.replace(lease.record, host="elsewhere", pid=2**22 + 1)
    store.compare_and_swap("leases/index.json", lease.record.content(), stranger.content())
    with pytest.raises(LeaseHeld, match="elsewhere"):
        take(store, clock)


def test_of_two_takers_at_once_one_wins(store, clock):
    read = store.read

    def read_then_lose(path):
        seen = read(path)
        store.read = read
        take(store, clock, "faster")
        return seen

    store.read = read_then_lose
    with pytest.raises(LeaseHeld):
        take(store, clock, "slower")


def test_roles_do_not_meet(store, clock):
    take(store, clock)
    acquire(store, "compact", run_id="other", lease_s=60, clock=clock)


def test_the_record_is_plain_json(store, clock):
    content = take(store, clock).record.content()
    assert LeaseRecord.parse(content) == LeaseRecord(**json.loads(content))
