"""A part is replaced by whoever holds the root, and by nobody else who would not notice."""

import pytest
from dataset_helpers import ManualClock, commit_videos, make_ref

from flexivideo.errors import LeaseLost
from pipeline.index_session import open_for_index
from pipeline.part_rewriting import rewrite_part
from pipeline.store import LocalStore

PART = "clips/ingest_date=2026-01-02/part-000000000001.parquet"


@pytest.fixture
def store(tmp_path):
    store = LocalStore(str(tmp_path))
    commit_videos(store, [make_ref("a")])
    return store


@pytest.fixture
def clock():
    clock = ManualClock()
    clock.forward(3600)
    return clock


@pytest.fixture
def session(store, clock):
    with open_for_index(store, run_id="sleeper", lease_s=60, clock=clock) as session:
        yield session


@pytest.fixture
def fall_asleep(store, clock):
    """The lease runs out, and another run takes the root."""

    def asleep():
        clock.forward(61)
        with open_for_index(LocalStore(store.root), run_id="other", lease_s=60, clock=clock):
            pass

    return asleep


def without_rows(rows):
    return rows.slice(0, 0)


def test_who_slept_over_the_change_replaces_nothing(store, session, fall_asleep):
    """What he read is old: rows that were erased meanwhile would come back."""
    before = store.read(PART)

    def change(rows):
        fall_asleep()
        return without_rows(rows)

    with pytest.raises(LeaseLost):
        rewrite_part(store, PART, change, check=session.check)
    assert store.read(PART) == before


def test_who_slept_over_the_replacement_is_told(store, session, fall_asleep, monkeypatch):
    """Else he would go on to the next part, and say at the end that all is done."""
    swap = store.compare_and_swap

    def swap_after_sleep(path, expected, new):
        if path == PART:
            fall_asleep()
        return swap(path, expected, new)

    monkeypatch.setattr(store, "compare_and_swap", swap_after_sleep)
    with pytest.raises(LeaseLost):
        rewrite_part(store, PART, without_rows, check=session.check)
