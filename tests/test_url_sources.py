"""Videos at web addresses: presigned ones of a real store, and files of real web servers."""

import os
import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import botocore.auth
import pytest
from decode_helpers import make_plan
from s3_server import FaultyProxy, client, presigned
from web_server import certificate, plain_server, web_server

from flexivideo.errors import SettingsError, SourceUnavailable
from jobs.second_try import _now
from pipeline import fetched_file, patience, url_requests
from pipeline.known_videos import KnownVideo
from pipeline.sealing import own_seal
from pipeline.source_file import open_source
from pipeline.sources import Listing
from pipeline.store_settings import StoreSettings
from pipeline.video_rows import video_rows
from pipeline.whole_source import whole_source

BUCKET, BLOCK = "presigned", 1 << 16
PLAIN = StoreSettings(plain_http=True)


@pytest.fixture(scope="module")
def content():
    """Of many blocks, the last one not full; each byte says where it stands."""
    return b"".join(number.to_bytes(4) for number in range(2 * BLOCK + 100))


@pytest.fixture(scope="module")
def bucket(s3_server, content):
    store = client(s3_server)
    store.call_s3("create_bucket", Bucket=BUCKET)
    store.pipe_file(f"{BUCKET}/a.mp4", content)
    return store


@pytest.fixture
def folder(tmp_path, content):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.mp4").write_bytes(content)
    os.utime(tmp_path / "files" / "a.mp4", (1e9, 1e9))
    return tmp_path / "files"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Many blocks, and no time lost between tries."""
    monkeypatch.setattr(fetched_file, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(url_requests, "STALL_S", 0.5)


def found(url, store=PLAIN):
    """What is at an address, as a worker reads it."""
    (ref,) = Listing([url], store)
    signed_query = ref.signed_query and own_seal().open(ref.signed_query)
    return replace(ref, signed_query=signed_query)


def read(ref):
    with open_source(ref, max_size_mib=None) as file:
        return file.read()


def kind_of(ref):
    with pytest.raises(SourceUnavailable) as seen:
        read(ref)
    return seen.value.error_kind, seen.value.detail


def test_the_same_object_signed_anew_is_the_same_video(bucket, s3_server, content):
    urls = [presigned(s3_server, BUCKET, "a.mp4", expires_s=expires_s) for expires_s in (60, 600)]
    first, again = (found(url) for url in urls)
    assert urls[0] != urls[1]
    assert first.uri == f"{s3_server}/{BUCKET}/a.mp4"
    assert replace(first, signed_query=None) == replace(again, signed_query=None)
    (in_store,) = Listing([f"s3://{BUCKET}/a.mp4"], StoreSettings(endpoint_url=s3_server))
    assert (first.version, first.size_bytes) == (in_store.version, len(content))
    (sealed,) = Listing(urls, PLAIN)
    assert first.signed_query in urls[0]
    assert first.signed_query.encode() not in pickle.dumps(sealed)
    with whole_source(again) as (file, _):
        file.seek(0)
        assert file.read() == content


FAULTS = ("slow down", "reset", "cut", "stall", "short", "other version", "other place")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_reply_is_noticed_and_asked_for_again(bucket, proxy, content, fault):
    proxy.begin(lambda n: None)
    ref = found(presigned(proxy.address, BUCKET, "a.mp4"))
    proxy.begin(lambda n: fault if n % 4 == 0 else None)
    assert read(ref) == content
    proxy.begin(lambda n: fault)
    kind, detail = kind_of(ref)
    proxy.begin(lambda n: None)
    assert (kind, "Signature" in detail) == ("source_unavailable", False)


def test_changed_bytes_are_noticed_and_fetched_again(bucket, proxy, content):
    proxy.begin(lambda n: None)
    ref = found(presigned(proxy.address, BUCKET, "a.mp4"))
    proxy.begin(lambda n: "lie 7" if n == 2 else None)
    with whole_source(ref) as (file, _):
        file.seek(0)
        assert file.read() == content
    assert proxy.n_counted == 2 * -(-len(content) // BLOCK)


def test_versions_are_never_mixed(bucket, s3_server, content, monkeypatch):
    monkeypatch.setattr(fetched_file, "BLOCKS_AHEAD", 1)
    bucket.pipe_file(f"{BUCKET}/b.mp4", content)
    ref = found(presigned(s3_server, BUCKET, "b.mp4"))
    with open_source(ref, max_size_mib=None) as file:
        assert file.read(BLOCK) == content[:BLOCK]
        bucket.pipe_file(f"{BUCKET}/b.mp4", bytes(len(content)))
        with pytest.raises(SourceUnavailable) as seen:
            file.read()
    assert seen.value.error_kind == "source_changed"
    bucket.rm_file(f"{BUCKET}/b.mp4")
    assert kind_of(ref)[0] == "source_missing"


def test_a_signature_that_has_expired_says_so_and_not_what_it_was(
    bucket, s3_server, content, tmp_path, monkeypatch
):
    """Named alone it stops the run; in a manifest it is a row, as the others are."""
    now = datetime.now(UTC).replace(tzinfo=None)
    with monkeypatch.context() as earlier:
        earlier.setattr(botocore.auth, "get_current_datetime", lambda *_: now - timedelta(hours=2))
        url = presigned(s3_server, BUCKET, "a.mp4")
    with pytest.raises(SettingsError, match="expired, sign it anew") as seen:
        list(Listing([url], PLAIN))
    assert "Amz" not in str(seen.value)
    (tmp_path / "m.txt").write_text(f"{url}\n")
    (ref,) = Listing([], PLAIN, manifests=[str(tmp_path / "m.txt")])
    (rows,) = video_rows(ref, "attempt", replace(make_plan(), store=PLAIN))
    (outcome,) = rows.column("outcome").to_pylist()
    assert (outcome["status"], outcome["error_kind"]) == ("unavailable", "source_denied")
    assert "Amz" not in str(rows.to_pylist())


def test_a_manifest_gives_signed_addresses_with_and_without_their_versions(
    bucket, proxy, content, tmp_path
):
    proxy.begin(lambda n: None)
    url = presigned(proxy.address, BUCKET, "a.mp4")
    whole = found(url)
    rows = [f"{url},,", f"{url},{whole.version},{len(content)}", f"{url},{'0' * 32},5"]
    (tmp_path / "m.csv").write_text("uri,etag,size_bytes\n" + "\n".join(rows))
    proxy.begin(lambda n: None, of=lambda request: True)
    listing = list(Listing([], PLAIN, manifests=[str(tmp_path / "m.csv")]))
    assert proxy.n_counted == 1
    looked_up, stale = (
        replace(ref, signed_query=own_seal().open(ref.signed_query)) for ref in listing
    )
    assert looked_up == whole
    assert kind_of(stale)[0] == "source_changed"
    proxy.begin(lambda n: None)


def test_a_retry_of_what_has_to_be_signed_is_a_row_that_says_so(bucket, s3_server):
    """And no end of the retry: what signed it was not kept."""
    uri = f"{s3_server}/{BUCKET}/a.mp4"
    ref = _now(KnownVideo(uri=uri, time_range=None, prompt=None), PLAIN)
    kind, detail = kind_of(ref)
    assert (kind, "may have to be signed" in detail) == ("source_denied", True)


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory):
    """Trusted by this process for as long as the tests of this module run."""
    path = certificate(tmp_path_factory.mktemp("certificate"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        url_requests._session.cache_clear()
        yield path
    url_requests._session.cache_clear()


def test_a_file_over_tls_is_read_in_the_version_that_was_found(folder, content, own_certificate):
    with web_server(folder, own_certificate) as address:
        ref = found(f"{address}/files/a.mp4", StoreSettings())
        assert read(ref) == content
        os.utime(folder / "a.mp4", (2e9, 2e9))
        assert kind_of(ref)[0] == "source_changed"


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(folder, own_certificate, tmp_path):
    with (
        web_server(folder, certificate(tmp_path)) as address,
        pytest.raises(SettingsError, match="SSL_CERT_FILE"),
    ):
        list(Listing([f"{address}/files/a.mp4"]))


def test_it_is_led_from_anywhere_to_https_and_nowhere_else(folder, content, own_certificate):
    """Else an address that was checked could lead to what only this machine can reach."""
    with web_server(folder, own_certificate) as safe, web_server(folder) as plain:
        for start, end in ((safe, safe), (plain, safe), (plain, plain)):
            ref = found(f"{start}/to?{end}/files/a.mp4")
            assert (ref.uri, read(ref)) == (f"{start}/to?{end}/files/a.mp4", content)
        for end in (f"{plain}/files/a.mp4", "file:///etc/hostname", "ftp://host/a.mp4", ""):
            with pytest.raises(SettingsError, match="leads"):
                found(f"{safe}/to?{end}")


def test_a_server_without_ranges_sends_all_and_is_asked_again_where_it_breaks_off(
    folder, content, monkeypatch
):
    def everything(request):
        return True

    with plain_server(folder) as server:
        ref = found(f"{server}/a.mp4")
        assert ref.version == f"{len(content)} bytes of 2001-09-09T01:46:40+00:00"
        proxy = FaultyProxy(server)
        ref = replace(ref, uri=f"{proxy.address}/a.mp4")
        proxy.begin(lambda n: None, of=everything)
        assert read(ref) == content
        assert proxy.n_counted == 1
        proxy.begin(lambda n: ("cut", "short", "stall")[n] if n < 3 else None, of=everything)
        assert read(ref) == content
        assert proxy.n_counted == 4
        monkeypatch.setattr(fetched_file, "BLOCKS_AHEAD", 1)
        with open_source(ref, max_size_mib=None) as file:
            assert file.read(BLOCK) == content[:BLOCK]
        os.utime(folder / "a.mp4", (2e9, 2e9))
        proxy.begin(lambda n: None, of=everything)
        assert kind_of(ref)[0] == "source_unavailable"
        proxy.close()


def test_what_has_no_version_is_read_from_one_reply_or_not_at_all(folder, content):
    with web_server(folder) as server:
        proxy = FaultyProxy(server)
        proxy.begin(lambda n: None, of=lambda request: True)
        ref = found(f"{proxy.address}/bare/a.mp4")
        assert ref.version == f"{len(content)} bytes"
        assert read(ref) == content
        proxy.begin(lambda n: "cut" if n == 0 else None, of=lambda request: True)
        kind, detail = kind_of(ref)
        proxy.close()
    assert (kind, "broke off" in detail) == ("source_changed", True)


def test_what_is_nowhere_is_said_to_be(folder):
    (folder / "empty.mp4").touch()
    with web_server(folder) as server:
        assert found(f"{server}/files/empty.mp4").size_bytes == 0
        with pytest.raises(SettingsError, match="names nothing that its server has"):
            found(f"{server}/files/none.mp4")
