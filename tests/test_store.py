"""What a dataset's root promises, on a disk and in a real object store alike."""

import subprocess
import sys
from contextlib import suppress

import pytest
from s3_server import FaultyProxy, client

from flexivideo.errors import SettingsError, StoreError
from pipeline import object_requests, object_store, patience
from pipeline.store import open_store
from pipeline.store_settings import StoreSettings

BUCKET = "roots"


@pytest.fixture
def s3_root(s3_server, request):
    """A prefix that no other test has."""
    store = client(s3_server)
    with suppress(FileExistsError):
        store.call_s3("create_bucket", Bucket=BUCKET)
    return f"s3://{BUCKET}/{abs(hash(request.node.nodeid)):x}"


@pytest.fixture(params=["disk", "s3"])
def opened(request, tmp_path):
    """A root and how its store is reached."""
    if request.param == "disk":
        return str(tmp_path / "root"), StoreSettings()
    root, server = request.getfixturevalue("s3_root"), request.getfixturevalue("s3_server")
    return root, StoreSettings(endpoint_url=server)


@pytest.fixture
def store(opened):
    return open_store(*opened)


def staged(store, content):
    file = store.staging_file()
    file.write(content)
    return file


def test_a_name_is_given_once(store):
    assert store.create_if_absent("a/b.bin", staged(store, b"first"))
    assert not store.create_if_absent("a/b.bin", staged(store, b"second"))
    assert not store.create_if_absent("a/b.bin", staged(store, b"first"))  # not even to its like
    assert store.read("a/b.bin") == b"first"
    with store.open("a/b.bin") as file:
        assert (file.read(2), file.seek(-2, 2), file.read()) == (b"fi", 3, b"st")
    assert list(store.list(".staging")) == []  # used up, whether published or not


def test_what_is_absent_is_absent(store):
    assert store.read("nothing") is None
    store.delete("nothing")
    with pytest.raises(FileNotFoundError):
        store.open("nothing")


def test_a_deleted_name_is_free(store):
    assert store.create_if_absent("a", staged(store, b"first"))
    store.delete("a")
    assert store.create_if_absent("a", staged(store, b"second"))


def test_listing_is_sorted_and_an_absent_folder_is_empty(store):
    for name in ("t/b", "t/a", "t/x/c", "tt"):
        store.create_if_absent(name, staged(store, b""))
    assert list(store.list("t")) == ["t/a", "t/b", "t/x/c"]
    assert list(store.list("nowhere")) == []


def test_a_swap_happens_only_from_what_was_seen(store):
    assert store.compare_and_swap("l", None, b"1")
    assert not store.compare_and_swap("l", None, b"2")
    assert not store.compare_and_swap("l", b"0", b"2")
    assert store.compare_and_swap("l", b"1", b"2")
    assert store.read("l") == b"2"
    store.delete("l")
    assert not store.compare_and_swap("l", b"2", b"3")


COUNT_UP = """
import sys
from pipeline.settings import StoreSettings
from pipeline.store import open_store
store = open_store(sys.argv[1], StoreSettings(endpoint_url=sys.argv[2] or None))
for _ in range(int(sys.argv[3])):
    swapped = False
    while not swapped:
        before = store.read("counter")
        swapped = store.compare_and_swap("counter", before, b"%d" % (int(before or b"0") + 1))
"""


def test_swaps_of_several_processes_lose_no_update(opened, store):
    root, settings = opened
    command = [sys.executable, "-c", COUNT_UP, root, settings.endpoint_url or "", "30"]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert store.read("counter") == b"90"


@pytest.fixture
def broken(s3_server, s3_root, monkeypatch):
    """A root behind a proxy that breaks replies, and the proxy."""
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(object_store, "STALL_S", 0.3)
    monkeypatch.setitem(object_requests.CLIENT, "read_timeout", 0.3)
    proxy = FaultyProxy(s3_server)
    yield open_store(s3_root, StoreSettings(endpoint_url=proxy.address)), proxy
    proxy.close()


WRITE_FAULTS = ("slow down", "reset", "lost reply", "late reply")


@pytest.mark.parametrize("fault", WRITE_FAULTS)
def test_a_name_goes_to_one_also_where_replies_are_lost(broken, fault):
    store, proxy = broken
    proxy.begin(lambda n: fault if n % 2 == 0 else None, of=lambda request: request.method == "PUT")
    for number in range(4):
        assert store.create_if_absent(f"{fault}-{number}", staged(store, b"same"))
        assert not store.create_if_absent(f"{fault}-{number}", staged(store, b"same"))
    assert proxy.n_broken >= 4


@pytest.mark.parametrize("fault", WRITE_FAULTS)
def test_a_swap_is_told_as_it_was_also_where_replies_are_lost(broken, fault):
    store, proxy = broken
    proxy.begin(lambda n: fault if n % 2 == 0 else None, of=lambda request: request.method == "PUT")
    for number in range(5):
        before = str(number - 1).encode() if number else None
        assert store.compare_and_swap("counter", before, str(number).encode())
        assert not store.compare_and_swap("counter", b"something else", b"")
    assert store.read("counter") == b"4"
    assert proxy.n_broken >= 3


@pytest.mark.parametrize("fault", ["slow down", "reset", "cut", "stall", "short", "lie 7"])
def test_what_is_read_is_what_was_written(broken, fault, rng):
    store, proxy = broken
    content = rng.bytes(3000)
    store.create_if_absent("t/a", staged(store, content))
    proxy.begin(lambda n: fault if n % 3 != 2 else None, of=lambda request: request.method == "GET")
    assert store.read("t/a") == content
    with store.open("t/a") as file:
        assert file.read() == content
    if not fault.startswith("lie"):  # a listing has no digest
        assert list(store.list("t")) == ["t/a"]
    assert proxy.n_broken >= 2


def test_a_store_that_always_fails_is_an_error_of_the_disk_s_kind(broken):
    store, proxy = broken
    proxy.begin(lambda n: "slow down", of=lambda request: True)
    for change in (
        lambda: store.create_if_absent("a", staged(store, b"")),
        lambda: store.compare_and_swap("a", None, b""),
        lambda: store.delete("a"),
        lambda: list(store.list("a")),
        lambda: store.open("a"),
    ):
        with pytest.raises(OSError, match=r"SlowDown|503") as seen:
            change()
        assert isinstance(seen.value, StoreError)


def test_opening_a_root_writes_nothing(opened, store):
    assert list(open_store(*opened).list("")) == []


@pytest.mark.parametrize("root", ["gs://bucket", "https://host/folder"])
def test_a_url_of_another_kind_is_refused_by_name(root):
    with pytest.raises(SettingsError, match=root):
        open_store(root)


def test_a_bucket_that_is_not_there_is_refused_by_name(s3_server):
    with pytest.raises(SettingsError, match="expected a bucket"):
        open_store("s3://nobody/x", StoreSettings(endpoint_url=s3_server))


def test_a_file_is_no_root(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="is a file"):
        open_store(str(tmp_path / "file"))


@pytest.mark.parametrize("root", ["", "back\\slash", "not-utf8-\udcff"])
def test_a_root_that_readers_could_not_find_is_refused(root):
    with pytest.raises(SettingsError, match="cannot be used"):
        open_store(root)
