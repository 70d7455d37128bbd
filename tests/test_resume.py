"""What is left to do of a listing, window by window."""

import pytest
from dataset_helpers import commit_videos, make_identity, make_ref

from pipeline import resume
from pipeline.resume import Resume, windows
from pipeline.store import LocalStore

DONE = 7


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(resume, "FIRST_WINDOW", 4)
    monkeypatch.setattr(resume, "WINDOW", 10)


@pytest.fixture
def store(tmp_path):
    store = LocalStore(str(tmp_path))
    commit_videos(store, [make_ref(f"{number:03}") for number in range(DONE)])
    return store


def listing(n_refs, asked):
    """References, each of which is noted as it is asked for."""
    for number in range(n_refs):
        asked.append(number)
        yield make_ref(f"{number:03}")


@pytest.mark.parametrize("n_refs", [0, 3, DONE, DONE + 1, DONE + 4, 50, 200])
def test_windows_hold_each_undone_video_once_and_in_order(store, n_refs):
    counts = []
    found = list(
        windows(
            listing(n_refs, []),
            Resume(store, make_identity()),
            lambda *counted: counts.append(counted),
        )
    )
    assert [ref for window in found for ref in window] == list(listing(n_refs, []))[DONE:]
    assert all(found)
    assert sum(n for n, _ in counts) == n_refs
    assert sum(done for _, done in counts) == min(n_refs, DONE)


def test_the_first_window_comes_before_the_rest_is_listed(store):
    asked = []
    found = windows(listing(10_000, asked), Resume(store, make_identity()))
    assert len(next(found)) >= 4
    assert len(asked) < 30
    assert max(len(window) for window in found) < 4 * 10


def test_what_somebody_else_committed_meanwhile_is_done(store):
    known = Resume(store, make_identity())
    (window,) = windows(listing(DONE + 2, []), known)
    commit_videos(store, window[:1])
    assert known.undone(window) == window
    known.refresh()
    assert known.undone(window) == window[1:]
