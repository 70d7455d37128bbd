"""A whole listing against what was indexed: what is gone is marked, what returns is not."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from dataset_helpers import ManualClock, commit_videos, make_ref, parts

from flexivideo.errors import DatasetError
from pipeline.index_session import open_for_index
from pipeline.source_presence import Presence, SeenVideos, note_presence
from pipeline.sources import Listing
from pipeline.store import LocalStore
from pipeline.views import connect

FOLDERS = ["/archive/"]


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path))


def seen(refs):
    videos = SeenVideos()
    assert list(videos.of(refs)) == list(refs)
    return videos


def night(store, refs, clock, folders=FOLDERS):
    with open_for_index(store, run_id="night", lease_s=60, clock=clock) as session:
        presence = seen(refs).presence(store, folders)
        note_presence(session, presence)
    return presence


def deleted(store):
    try:
        return deleted_at(store)
    except DatasetError:
        return {}


def deleted_at(store):
    rows = connect(store).sql("SELECT video_id, source_deleted_at FROM videos").to_arrow_table()
    return {row["video_id"]: row["source_deleted_at"] for row in rows.to_pylist()}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_marked_is_what_is_not_there(store, seed):
    """Any sequence of nights, changed objects among them: a changed one is another video."""
    rng, clock = np.random.default_rng(seed), ManualClock()
    known, marked = {}, {}
    for _ in range(6):
        there = [
            make_ref(f"{name}", version=f"{rng.integers(2)}-1")
            for name in range(12)
            if rng.random() < 0.6
        ]
        commit_videos(store, [ref for ref in there if ref.video_id not in known], clock=clock)
        known |= {ref.video_id: ref for ref in there}
        clock.forward(86_400)
        night(store, there, clock)
        ids = {ref.video_id for ref in there}
        marked = {
            video: None if video in ids else marked.get(video) or clock.now for video in known
        }
        assert deleted_at(store) == marked


def test_a_mark_changes_nothing_else(store, tmp_path):
    refs, clock = [make_ref(name) for name in "abc"], ManualClock()
    commit_videos(store, refs, clock=clock)
    query = "SELECT * EXCLUDE (source_deleted_at) FROM videos ORDER BY uri"
    before = connect(store).sql(query).to_arrow_table()
    files = {part: part.read_bytes() for part in parts(tmp_path, "clips")}
    schema = pq.read_schema(parts(tmp_path, "videos")[1])
    assert len(night(store, refs[1:], clock).gone) == 1
    assert connect(store).sql(query).to_arrow_table().equals(before)
    assert connect(store).execute("SELECT count(*) FROM clips").fetchall() == [(9,)]
    assert {part: part.read_bytes() for part in parts(tmp_path, "clips")} == files
    for part in parts(tmp_path, "videos"):
        assert pq.read_schema(part).equals(schema, check_metadata=True)


def test_only_what_was_listed_whole_is_judged(store):
    """Other folders, folders of a like name, and files that a folder would not have given."""
    refs = [make_ref(name) for name in ("a", "b/c", "../archive2/d", "../other/e")]
    strange = make_ref("f.mp4.bin").uri.removesuffix(".mp4")
    clock = ManualClock()
    commit_videos(store, refs, clock=clock)
    presence = night(store, refs[:1], clock, ["/archive/b/", "/archive/../archive2/"])
    assert {video for video, _ in presence.gone} == {ref.video_id for ref in refs[1:3]}
    assert presence.by_folder == {"/archive/b/": (1, 1), "/archive/../archive2/": (1, 1)}
    assert strange.endswith(".bin")


def test_before_the_first_commit_nothing_is_known(store):
    assert seen([make_ref("a")]).presence(store, FOLDERS) == Presence()


def test_what_lies_behind_a_link_or_has_an_odd_name_is_judged_by_where_it_lies(tmp_path):
    """A link in a folder is not followed; one that is named is. Names need not be UTF-8."""
    arch, real = tmp_path / "arch", tmp_path / "real"
    for folder in (arch, real):
        folder.mkdir()
    (arch / "link").symlink_to(real)
    odd = Path(os.fsdecode(bytes(arch) + b"/\xff.mp4"))
    for path in (arch / "a.mp4", real / "b.mp4", odd):
        path.write_bytes(b"x")
    store = LocalStore(str(tmp_path / "root"))

    def gone(*sources):
        listing, videos = Listing([str(source) for source in sources]), SeenVideos()
        refs = list(videos.of(listing))
        commit_videos(store, [ref for ref in refs if ref.video_id not in deleted(store)])
        found = videos.presence(store, listing.folders, listing.linked)
        return len(refs), len(found.gone)

    assert gone(arch, arch / "link") == (3, 0)
    assert gone(arch) == (2, 0)
    (real / "b.mp4").unlink()
    assert gone(arch) == (2, 0)
    assert gone(arch / "link", arch) == (2, 1)
    odd.unlink()
    assert gone(arch) == (1, 1)
