import dataclasses
import json
import os
import subprocess
import sys

import pytest
from dataset_helpers import ManualClock

from flexivideo.errors import DatasetError, LeaseHeld, LeaseLost
from pipeline.run_lease import LeaseRecord, acquire
from pipeline.store import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path))


@pytest.fixture
def clock():
    return ManualClock()


def take(store, clock, run_id="run"):
    return acquire(store, "index", run_id=run_id, lease_s=60, clock=clock)


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


HOLDER = """
import datetime, sys
from pipeline.run_lease import acquire
from pipeline.store import LocalStore
clock = lambda: datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
acquire(LocalStore(sys.argv[1]), "index", run_id="dead", lease_s=9e6, clock=clock)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(store):
    """Another process that holds the lease until its input ends."""
    command = [sys.executable, "-c", HOLDER, store.root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process


def test_a_lease_of_a_process_that_is_gone_is_free_at_once(store, clock, holder):
    """After kill -9 nobody should have to wait for the lease to run out."""
    with pytest.raises(LeaseHeld, match="dead"):
        take(store, clock, "heir")
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, but still in the table
    heir = take(store, clock, "heir")
    assert heir.record.token == 2
    assert [run.run_id for run in heir.record.killed] == ["dead"]


def test_a_number_that_another_process_has_now_says_nothing_of_the_holder(store, clock, holder):
    """Process numbers come round; the start in ticks since boot tells the two apart."""
    record = LeaseRecord.parse("", store.read("leases/index.json"))
    before = dataclasses.replace(record.process, start_ticks=record.process.start_ticks - 1)
    gone = dataclasses.replace(record, process=before)
    store.compare_and_swap("leases/index.json", record.content(), gone.content())
    take(store, clock, "heir")


@pytest.mark.parametrize("what", ["host", "boot_id", "pid_namespace"])
def test_nothing_is_said_of_processes_elsewhere(store, clock, what):
    lease = take(store, clock)
    process = dataclasses.replace(lease.record.process, pid=2**22 + 1, **{what: "elsewhere"})
    stranger = dataclasses.replace(lease.record, process=process)
    store.compare_and_swap("leases/index.json", lease.record.content(), stranger.content())
    with pytest.raises(LeaseHeld, match=stranger.process.host):
        take(store, clock)


def test_killed_runs_are_handed_on_until_they_are_noted(store, clock):
    """A run that is killed before it could note the one before must not make that one vanish."""
    for name in ("first", "second"):
        take(store, clock, name)
        clock.forward(61)
    third = take(store, clock, "third")
    assert [run.run_id for run in third.record.killed] == ["first", "second"]
    third.killed_are_noted()
    third.release()
    assert take(store, clock, "fourth").record.killed == ()


def test_a_swap_whose_reply_was_lost_is_no_lost_lease(store, clock):
    lease, swap = take(store, clock), store.compare_and_swap

    def swap_and_fail(*arguments):
        swap(*arguments)
        raise OSError(5, "Input/output error")

    store.compare_and_swap = swap_and_fail
    with pytest.raises(OSError, match="error"):
        lease.renew()
    store.compare_and_swap = swap
    clock.forward(30)
    lease.renew()
    clock.forward(50)
    with pytest.raises(LeaseHeld):
        take(store, clock, "other")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"token": 1}', b"\xff"])
def test_what_is_no_lease_is_named(store, clock, content):
    store.compare_and_swap("leases/index.json", None, content)
    with pytest.raises(DatasetError, match=r"leases/index\.json is no lease"):
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
    assert LeaseRecord.parse("", content).content() == content
    assert json.loads(content)["run_id"] == "run"
