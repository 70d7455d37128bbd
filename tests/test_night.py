"""What a night concludes from a listing, before it writes anything down."""

from itertools import islice

import pytest
from dataset_helpers import commit_videos
from rich.console import Console

from jobs.display import PlainDisplay
from jobs.index_run import IndexRun
from jobs.night import _compared
from jobs.nightly import AlarmSettings
from pipeline.settings import IndexSettings
from pipeline.source_presence import SeenVideos
from pipeline.sources import Listing
from pipeline.store import LocalStore


@pytest.fixture
def archive(tmp_path):
    """A folder of which three videos were indexed; one of them has been deleted since."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").write_bytes(b"x")
    commit_videos(LocalStore(str(tmp_path / "root")), list(Listing([str(folder)])))
    (folder / "a.mp4").unlink()
    return folder


@pytest.mark.parametrize(("n_listed", "n_gone"), [(0, 0), (1, 0), (None, 1)])
def test_nothing_is_gone_before_all_has_been_listed(tmp_path, archive, n_listed, n_gone):
    """A night that is stopped in the middle has not seen the videos that come later."""
    run = IndexRun(LocalStore(str(tmp_path / "root")), IndexSettings(), PlainDisplay(Console()))
    listing, seen = Listing([str(archive)]), SeenVideos()
    assert len(list(islice(seen.of(listing), n_listed))) == (2 if n_listed is None else n_listed)
    presence, doubts = _compared(run, listing, seen, AlarmSettings(max_gone=1))
    assert (len(presence.gone), doubts) == (n_gone, [])
    assert run.progress.snapshot().n_gone == n_gone
