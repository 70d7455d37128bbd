import os
from itertools import permutations
from pathlib import Path

import pytest

from flexivideo.errors import SettingsError
from pipeline.sources import Listing


@pytest.fixture
def archive(tmp_path):
    for name in ("b.mp4", "a/c.MKV", "a/notes.txt", "a/poster.jpg", "README"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path


def names(listing, root):
    return [os.path.relpath(ref.uri, root) for ref in listing]


def test_a_folder_gives_known_extensions_in_order_and_counts_the_others(archive):
    listing = Listing([str(archive)])
    assert names(listing, archive) == ["b.mp4", "a/c.MKV"]
    assert listing.left == {"txt": 1, "jpg": 1, "": 1}


def test_a_named_file_is_always_taken(archive):
    listing = Listing([str(archive / "a/notes.txt")])
    assert names(listing, archive) == ["a/notes.txt"]
    assert not listing.left


def test_a_video_that_two_sources_name_comes_once(archive):
    listing = Listing([str(archive / "b.mp4"), str(archive), str(archive / "*.mp4")])
    assert names(listing, archive) == ["b.mp4", "a/c.MKV"]


@pytest.mark.parametrize("sources", list(permutations([".", "a", "b.mp4", "a/notes.txt", "ab"], 3)))
def test_several_sources_give_what_each_gives_once_and_in_order(archive, sources):
    """A folder in a folder, a file in a folder, names that begin alike."""
    (archive / "ab").mkdir()
    (archive / "ab" / "d.mp4").write_bytes(b"x")
    odd = os.fsdecode(bytes(archive / "a") + b"/\xff.mp4")
    Path(odd).write_bytes(b"x")
    paths = [str(archive / source) for source in sources]
    each = [ref for path in paths for ref in Listing([path])]
    assert list(Listing(paths)) == list(dict.fromkeys(each))


def test_a_name_with_glob_characters_that_exists_is_a_name(tmp_path):
    (tmp_path / "take[1].mp4").write_bytes(b"x")
    (tmp_path / "take1.mp4").write_bytes(b"x")
    assert names(Listing([str(tmp_path / "take[1].mp4")]), tmp_path) == ["take[1].mp4"]


@pytest.mark.parametrize("source", ["missing.mp4", "no/*.mp4", "ftp://host/key.mp4"])
def test_a_source_that_names_nothing_stops_the_run_and_is_quoted(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="mp4"):
        Listing([source])


def test_the_id_follows_the_content_and_nothing_else(archive):
    (before,) = Listing([str(archive / "b.mp4")])
    assert [before] == list(Listing([str(archive / "b.mp4")]))
    (archive / "b.mp4").write_bytes(b"longer")
    (after,) = Listing([str(archive / "b.mp4")])
    assert before.uri == after.uri
    assert before.video_id != after.video_id


def test_a_dangling_link_is_listed(tmp_path):
    """What cannot be read must end as a row, not vanish from the list."""
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (ref,) = Listing([str(tmp_path)])
    assert ref.size_bytes is None


def test_a_link_to_a_folder_is_named_and_followed_only_when_it_is_a_source(archive, tmp_path):
    """Nothing is left in silence, and no link can lead in circles."""
    (archive / "round").symlink_to(archive)
    listing = Listing([str(archive)])
    assert names(listing, archive) == ["b.mp4", "a/c.MKV"]
    assert listing.linked == [str(archive / "round")]
    assert len(list(Listing([str(archive / "round")]))) == 2


def test_a_folder_that_cannot_be_listed_is_named(archive, monkeypatch):
    """Its path is longer than the kernel takes: what no permission can change, also for root."""
    monkeypatch.chdir(archive)
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    listing = Listing([str(archive)])
    assert names(listing, archive) == ["b.mp4", "a/c.MKV"]
    (unreadable,) = listing.unreadable
    assert unreadable.endswith("File name too long")
