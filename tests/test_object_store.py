"""Objects of a real S3 server, and what of them arrives through a proxy that breaks replies."""

import hashlib
import os
import resource
import socket
from contextlib import suppress
from dataclasses import replace

import pytest
from s3_server import client
from synthetic_media import textured_shots, write_video

from flexivideo.errors import SettingsError, SourceUnavailable, StoreError
from jobs.scenes import segment_file
from pipeline import fetched_file, object_requests, object_store, patience, whole_source
from pipeline.object_sources import opened
from pipeline.settings import SegmentationSettings
from pipeline.sources import Listing
from pipeline.store_settings import StoreSettings

BLOCK = 1 << 16
BUCKET = "archive"
PAYER = "x-amz-request-payer"


@pytest.fixture(scope="module")
def bucket(s3_server):
    store = client(s3_server)
    store.call_s3("create_bucket", Bucket=BUCKET)
    for name in ("b.mp4", "a/c.MKV", "a/ä ö+%.webm", "a/notes.txt", "a/deep/d.mp4", "abc.mp4"):
        store.pipe_file(f"{BUCKET}/{name}", name.encode())
    return store


@pytest.fixture
def settings(s3_server):
    return StoreSettings(endpoint_url=s3_server)


@pytest.fixture
def small_blocks(monkeypatch):
    """Many blocks, and no time lost between tries."""
    monkeypatch.setattr(fetched_file, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(object_store, "STALL_S", 0.5)


@pytest.fixture
def large(bucket, rng):
    """An object of many blocks, the last one not full."""
    content = rng.bytes(20 * BLOCK + 777)
    bucket.pipe_file(f"{BUCKET}/large.mp4", content)
    yield content
    bucket.rm_file(f"{BUCKET}/large.mp4")


def listed(source, settings):
    return [ref.uri.removeprefix(f"s3://{BUCKET}/") for ref in Listing([source], settings)]


def ref_of(name, settings):
    (ref,) = Listing([f"s3://{BUCKET}/{name}"], settings)
    return ref


def test_a_prefix_gives_known_extensions_in_order_and_counts_the_others(bucket, settings):
    listing = Listing([f"s3://{BUCKET}/a"], settings)
    names = [ref.uri for ref in listing]
    assert names == [f"s3://{BUCKET}/a/{n}" for n in ("c.MKV", "deep/d.mp4", "ä ö+%.webm")]
    assert listing.left == {"txt": 1}  # and abc.mp4 does not lie in a/


def test_pages_hide_nothing_and_repeat_nothing(bucket, settings, monkeypatch):
    whole = listed(f"s3://{BUCKET}", settings)
    monkeypatch.setattr(object_store, "PAGE_OBJECTS", 2)
    assert listed(f"s3://{BUCKET}/", settings) == whole == sorted(set(whole))
    assert len(whole) == 5


def test_a_named_object_is_always_taken(bucket, settings):
    assert listed(f"s3://{BUCKET}/a/notes.txt", settings) == ["a/notes.txt"]


@pytest.mark.parametrize("source", ["s3://archive/none/", "s3://archive/none.mp4", "s3://nobody/x"])
def test_a_source_that_names_nothing_stops_the_run_and_is_quoted(bucket, settings, source):
    with pytest.raises(SettingsError, match=source):
        list(Listing([source], settings))


@pytest.mark.parametrize(
    ("source", "how", "said"),
    [
        ("s3://archive/", {"profile": "nosuch"}, "nosuch"),
        ("s3://!/", {}, "Invalid bucket name"),
    ],
)
def test_what_no_store_could_answer_is_a_mistake_and_not_tried_again(s3_server, source, how, said):
    with pytest.raises(SettingsError, match=said):
        list(Listing([source], StoreSettings(endpoint_url=s3_server, **how)))


@pytest.mark.parametrize("address", ["http://[::1", "http://", "ftp://host", "http://me:pw@host"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(SettingsError, match="endpoint_url is no plain") as seen:
        StoreSettings(endpoint_url=address)
    assert "pw" not in str(seen.value)


def test_the_id_follows_the_content(bucket, settings):
    bucket.pipe_file(f"{BUCKET}/id.mp4", b"one")
    before = ref_of("id.mp4", settings)
    assert ref_of("id.mp4", settings) == before
    bucket.pipe_file(f"{BUCKET}/id.mp4", b"two")
    after = ref_of("id.mp4", settings)
    assert (after.uri, after.size_bytes) == (before.uri, before.size_bytes)
    assert after.video_id != before.video_id
    bucket.rm_file(f"{BUCKET}/id.mp4")


def test_a_file_of_an_object_reads_as_one_on_a_disk(
    bucket, settings, small_blocks, large, rng, tmp_path
):
    path = tmp_path / "large"
    path.write_bytes(large)
    ref = ref_of("large.mp4", settings)
    with open(path, "rb") as local, opened(ref, settings, lambda: None) as remote:
        for _ in range(60):
            place, count = int(rng.integers(-5, len(large) + 5)), int(rng.integers(0, 3 * BLOCK))
            whence = int(rng.choice([os.SEEK_SET, os.SEEK_END]))
            place = abs(place) if whence == os.SEEK_SET else -min(abs(place), len(large))
            assert remote.seek(place, whence) == local.seek(place, whence)
            assert remote.read(count) == local.read(count)
            assert remote.tell() == local.tell()


def test_each_byte_is_fetched_once(bucket, proxy, small_blocks, large):
    settings = StoreSettings(endpoint_url=proxy.address)
    ref = ref_of("large.mp4", settings)
    proxy.begin(lambda n: None)
    with opened(ref, settings, lambda: None) as file:
        for _ in range(3):
            file.seek(0)
            assert file.read() == large
    assert proxy.n_counted == 21


FAULTS = ("slow down", "reset", "cut", "stall", "short", "other version", "other place")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_reply_is_noticed_and_asked_for_again(bucket, proxy, small_blocks, large, fault):
    settings = StoreSettings(endpoint_url=proxy.address)
    ref = ref_of("large.mp4", settings)
    proxy.begin(lambda n: fault if n % 5 == 2 else None)
    with opened(ref, settings, lambda: None) as file:
        assert file.read() == large
    assert proxy.n_counted > 21


@pytest.mark.parametrize("fault", ["cut", "short", "other version", "other place"])
def test_an_object_that_never_comes_whole_is_unavailable(bucket, proxy, small_blocks, large, fault):
    settings = StoreSettings(endpoint_url=proxy.address)
    ref = ref_of("large.mp4", settings)
    proxy.begin(lambda n: fault)
    with opened(ref, settings, lambda: None) as file, pytest.raises(SourceUnavailable) as seen:
        file.read()
    proxy.begin(lambda n: None)
    assert seen.value.error_kind == "source_unavailable"


@pytest.fixture
def counts_by_md5(monkeypatch):
    """A process that knows no bucket yet, and asks for one block after the other."""
    monkeypatch.setattr(fetched_file, "BLOCKS_AHEAD", 1)
    monkeypatch.setattr(whole_source, "counting_otherwise", set())


def read_whole(ref, settings):
    with whole_source.whole_source(ref, store=settings) as (file, digest):
        file.seek(0)
        content = file.read()
    assert hashlib.sha256(content).hexdigest() == digest
    return content


@pytest.mark.parametrize("lies", [{3}, {3, 25}, {0, 22}])
def test_changed_bytes_are_noticed_and_fetched_again(
    bucket, proxy, small_blocks, large, lies, counts_by_md5
):
    """Up to two fetches of 21 blocks with a byte changed on its way, each time another one."""
    settings = StoreSettings(endpoint_url=proxy.address)
    ref = ref_of("large.mp4", settings)
    proxy.begin(lambda n: f"lie {n}" if n in lies else None)
    assert read_whole(ref, settings) == large
    assert proxy.n_counted == 21 * (1 + len(lies))


def test_bytes_that_come_otherwise_every_time_are_none(
    bucket, proxy, small_blocks, large, counts_by_md5
):
    settings = StoreSettings(endpoint_url=proxy.address)
    ref = ref_of("large.mp4", settings)
    proxy.begin(lambda n: f"lie {n}" if n % 21 == 4 else None)
    with pytest.raises(SourceUnavailable, match="each of 3 times") as seen:
        read_whole(ref, settings)
    assert seen.value.error_kind == "source_unavailable"


def test_two_fetches_that_agree_are_believed_and_their_bucket_from_then_on(
    bucket, proxy, small_blocks, large, counts_by_md5
):
    """As where a store encrypts with keys of its own, and an ETag is no MD5 of what it gives."""
    settings = StoreSettings(endpoint_url=proxy.address)
    ref = ref_of("large.mp4", settings)
    proxy.begin(lambda n: "lie 5" if n % 21 == 4 else None)
    content = read_whole(ref, settings)
    assert [place for place in range(len(large)) if content[place] != large[place]] == [
        4 * BLOCK + 5
    ]
    assert proxy.n_counted == 2 * 21
    assert read_whole(ref, settings) == content
    assert proxy.n_counted == 3 * 21


def test_versions_are_never_mixed(bucket, settings, small_blocks, large, monkeypatch):
    monkeypatch.setattr(fetched_file, "BLOCKS_AHEAD", 1)
    ref = ref_of("large.mp4", settings)
    with opened(ref, settings, lambda: None) as file:
        assert file.read(BLOCK) == large[:BLOCK]
        bucket.pipe_file(f"{BUCKET}/large.mp4", bytes(len(large)))
        with pytest.raises(SourceUnavailable) as seen:
            file.read()
    assert seen.value.error_kind == "source_changed"


def test_what_is_gone_or_forbidden_says_so(bucket, settings, large):
    ref = ref_of("large.mp4", settings)
    stranger = StoreSettings(endpoint_url=settings.endpoint_url, anonymous=True)
    with opened(ref, stranger, lambda: None) as file, pytest.raises(SourceUnavailable) as seen:
        file.read()
    assert seen.value.error_kind == "source_denied"
    with pytest.raises(SettingsError, match="credentials"):
        list(Listing([f"s3://{BUCKET}/"], stranger))
    bucket.rm_file(f"{BUCKET}/large.mp4")
    with opened(ref, settings, lambda: None) as file, pytest.raises(SourceUnavailable) as seen:
        file.read()
    assert seen.value.error_kind == "source_missing"
    bucket.pipe_file(f"{BUCKET}/large.mp4", b"for the fixture to remove")


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_bucket_whose_reader_pays_is_read_by_whoever_takes_it_on(
    bucket, proxy, small_blocks, large, monkeypatch, by_environment
):
    proxy.begin(
        lambda n: "denied", of=lambda request: request.headers.get(PAYER) != "requester"
    )  # as Amazon answers
    asked = StoreSettings(endpoint_url=proxy.address)
    with pytest.raises(SettingsError, match="refused"):
        list(Listing([f"s3://{BUCKET}/"], asked))
    if by_environment:
        monkeypatch.setenv("FSSPEC_S3_REQUESTER_PAYS", "true")
    else:
        asked = replace(asked, requester_pays=True)
    paying = asked.settled()
    proxy.begin(lambda n: "denied", of=lambda request: request.headers.get(PAYER) != "requester")
    (ref,) = (r for r in Listing([f"s3://{BUCKET}/"], asked) if r.uri.endswith("/large.mp4"))
    assert list(Listing([ref.uri], asked)) == [ref]
    with opened(ref, paying, lambda: None) as file:
        assert file.read() == large
    assert proxy.n_broken == 0
    proxy.begin(lambda n: None)


@pytest.mark.parametrize("room_blocks", [0, 3.5])
def test_a_disk_that_becomes_full_makes_it_unavailable_and_never_shorter(
    bucket, settings, small_blocks, large, room_blocks
):
    """The part of a block that still fits is not taken for the whole."""
    ref, (soft, hard) = ref_of("large.mp4", settings), resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(ref, settings, lambda: None) as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(room_blocks * BLOCK), hard))
        try:
            with pytest.raises(SourceUnavailable, match="make room") as seen:
                file.read()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert seen.value.error_kind == "source_unavailable"


def test_without_a_folder_for_temporary_files_it_is_unavailable(
    bucket, settings, large, tmp_path, monkeypatch
):
    ref = ref_of("large.mp4", settings)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(SourceUnavailable, match="set TMPDIR"):
        opened(ref, settings, lambda: None)


def test_a_store_that_is_silent_is_given_up_after_a_few_tries(bucket, small_blocks, monkeypatch):
    """Each try is one connection: no layer below tries again on its own."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = StoreSettings(endpoint_url=address)
        monkeypatch.setitem(object_requests.CLIENT, "read_timeout", 0.2)
        with pytest.raises(StoreError, match="look at the network"):
            list(Listing([f"s3://{BUCKET}/"], settings))
        silent.setblocking(False)
        n_connections = 0
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                n_connections += 1
    assert n_connections == patience.TRIES


def test_waiting_shows_that_it_is_alive(bucket, proxy, small_blocks, large):
    settings = StoreSettings(endpoint_url=proxy.address)
    ref, beats = ref_of("large.mp4", settings), []
    proxy.begin(lambda n: "stall" if n == 0 else None)
    with opened(ref, settings, lambda: beats.append(1)) as file:
        file.read()
    assert beats


def test_one_object_is_segmented_as_a_file_is(bucket, s3_server, rng, tmp_path, monkeypatch):
    """With the address from the environment, in the decode child as well."""
    path = write_video(tmp_path / "shots.mp4", textured_shots(rng, 2, 20))
    bucket.pipe_file(f"{BUCKET}/shots/shots.mp4", path.read_bytes())
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    local, remote = (
        segment_file(name, SegmentationSettings())[:2]
        for name in (str(path), f"s3://{BUCKET}/shots/shots.mp4")
    )
    assert local == remote
    with pytest.raises(SettingsError, match="expected one"):
        segment_file(f"s3://{BUCKET}/a/", SegmentationSettings())
