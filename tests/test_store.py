import subprocess
import sys

import pytest

from flexivideo.errors import SettingsError
from pipeline.store import LocalStore, open_store


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "root"))


def staged(store, content):
    file = store.staging_file()
    file.write_bytes(content)
    return file


def test_a_name_is_given_once(store):
    assert store.create_if_absent("a/b.bin", staged(store, b"first"))
    assert not store.create_if_absent("a/b.bin", staged(store, b"second"))
    assert store.read("a/b.bin") == b"first"
    assert list(store.list(".staging")) == []  # used up, whether published or not


def test_listing_is_sorted_and_an_absent_folder_is_empty(store):
    for name in ("t/b", "t/a", "t/x/c"):
        store.create_if_absent(name, staged(store, b""))
    assert list(store.list("t")) == ["t/a", "t/b", "t/x/c"]
    assert list(store.list("nowhere")) == []


def test_a_swap_happens_only_from_what_was_seen(store):
    assert store.compare_and_swap("l", None, b"1")
    assert not store.compare_and_swap("l", None, b"2")
    assert not store.compare_and_swap("l", b"0", b"2")
    assert store.compare_and_swap("l", b"1", b"2")
    assert store.read("l") == b"2"


COUNT_UP = """
import sys
from pipeline.store import LocalStore
store = LocalStore(sys.argv[1])
for _ in range(50):
    swapped = False
    while not swapped:
        before = store.read("counter")
        swapped = store.compare_and_swap("counter", before, b"%d" % (int(before or b"0") + 1))
"""


def test_swaps_of_several_processes_lose_no_update(store):
    command = [sys.executable, "-c", COUNT_UP, store.root]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert store.read("counter") == b"150"


def test_opening_a_root_writes_nothing(tmp_path):
    open_store(str(tmp_path / "new"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["s3://bucket/key", "gs://bucket"])
def test_a_url_is_refused_by_name(root):
    with pytest.raises(SettingsError, match="bucket"):
        open_store(root)


def test_a_file_is_no_root(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="is a file"):
        open_store(str(tmp_path / "file"))


@pytest.mark.parametrize("root", ["", "back\\slash", "not-utf8-\udcff"])
def test_a_root_that_readers_could_not_find_is_refused(root):
    with pytest.raises(SettingsError, match="cannot be used"):
        open_store(root)
