"""Every run has one row that says how it ended."""

import pytest
from dataset_helpers import ManualClock, commit_videos, make_ref

from pipeline.index_session import open_for_index
from pipeline.progress import Progress
from pipeline.runs import COMPLETED, INTERRUPTED, noting_run
from pipeline.settings import IndexSettings
from pipeline.store import LocalStore
from pipeline.views import connect


@pytest.fixture
def store(tmp_path):
    store = LocalStore(str(tmp_path))
    commit_videos(store, [make_ref("a")])  # so that there is something to view
    return store


def run(store, run_id, ended=None, *, error=None, clock=None):
    clock = clock or ManualClock()
    progress = Progress()
    with (
        open_for_index(store, run_id=run_id, lease_s=60, clock=clock) as session,
        noting_run(session, settings=IndexSettings(), progress=progress) as record,
    ):
        record.ended = ended
        if error:
            raise error


def noted(store):
    rows = connect(store.root).execute("SELECT run_id, ended FROM runs ORDER BY run_id").fetchall()
    return dict(rows)


def test_a_run_says_how_it_ended(store):
    run(store, "a", COMPLETED)
    run(store, "b", INTERRUPTED)
    assert noted(store) == {"a": COMPLETED, "b": INTERRUPTED}


def test_an_error_makes_it_failed_whatever_it_said(store):
    with pytest.raises(ZeroDivisionError):
        run(store, "a", COMPLETED, error=ZeroDivisionError())
    assert noted(store) == {"a": "failed"}


def test_a_row_that_cannot_be_written_hides_no_error(store):
    publish = store.create_if_absent

    def full(path, finished):
        if path.startswith("runs"):
            raise OSError(28, "No space left on device")
        return publish(path, finished)

    store.create_if_absent = full
    with pytest.raises(ZeroDivisionError):
        run(store, "a", error=ZeroDivisionError())
    with pytest.raises(OSError, match="space"):
        run(store, "b", COMPLETED)


def test_every_killed_run_gets_its_row_though_its_successor_is_killed_too(store):
    clock = ManualClock()
    for name in ("first", "second"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.run_lease.Lease.release", lambda lease: None)  # kill -9
            with open_for_index(store, run_id=name, lease_s=60, clock=clock):
                pass
        clock.forward(61)
    run(store, "third", COMPLETED, clock=clock)
    assert noted(store) == {"first": "killed", "second": "killed", "third": COMPLETED}
