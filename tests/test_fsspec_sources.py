"""Videos through filesystems of fsspec's: a disk's and a real store's, by the way of any other."""

import os
import sys

import fsspec
import pytest
from s3_server import client

from flexivideo.errors import SettingsError, SourceUnavailable
from pipeline import fetched_file, patience, remote_names, source_kinds
from pipeline.source_file import open_source
from pipeline.sources import Listing
from pipeline.store_settings import StoreSettings

BLOCK, BUCKET = 1 << 12, "by-fsspec"


@pytest.fixture(autouse=True)
def any_filesystem(monkeypatch):
    """Two that need no cloud, in place of the two that do."""
    for name in ("local", "s3a"):
        monkeypatch.setitem(remote_names.EXTRAS, name, name)
        monkeypatch.setitem(source_kinds.MODULES, name, "pipeline.fsspec_sources")
    monkeypatch.setattr(fetched_file, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)


@pytest.fixture(params=["local", "s3a"])
def store(request, tmp_path, s3_server, monkeypatch):
    """A filesystem with a few objects, and the URI of their folder."""
    if request.param == "local":
        uri = f"local://{tmp_path}/archive"
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
        client(s3_server).makedirs(BUCKET, exist_ok=True)
        uri = f"s3a://{BUCKET}/archive"
    filesystem, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    filesystem.makedirs(f"{path}/a/b", exist_ok=True)
    filesystem.makedirs(f"{path}/ab", exist_ok=True)
    for name in ("z.mp4", "a/c ö%.MKV", "a/notes.txt", "a/b/d.mp4", "ab/e.mp4"):
        filesystem.pipe_file(f"{path}/{name}", name.encode() * 3 * BLOCK)
    yield filesystem, uri, path
    filesystem.rm(path, recursive=True)


def kind_of(ref):
    with pytest.raises(SourceUnavailable) as seen, open_source(ref, max_size_mib=None) as file:
        file.read()
    return seen.value.error_kind


def test_a_prefix_gives_known_extensions_and_each_reads_as_it_was_written(store):
    _, uri, _ = store
    listing = Listing([uri])
    refs = list(listing)
    names = [ref.uri.removeprefix(f"{uri}/") for ref in refs]
    assert sorted(names) == ["a/b/d.mp4", "a/c ö%.MKV", "ab/e.mp4", "z.mp4"]
    assert (listing.left, listing.folders) == ({"txt": 1}, [f"{uri}/"])
    for name, ref in zip(names, refs, strict=True):
        with open_source(ref, max_size_mib=None) as file:
            assert file.read() == name.encode() * 3 * BLOCK
        assert list(Listing([ref.uri])) == [ref]


@pytest.mark.parametrize("store", ["s3a"], indirect=True)
def test_a_manifest_names_such_objects_too(store, tmp_path):
    _, uri, _ = store
    (tmp_path / "m.txt").write_text(f"{uri}/z.mp4\n{uri}/gone.mp4\n")
    there, gone = Listing([], manifests=[str(tmp_path / "m.txt")])
    assert [there] == list(Listing([f"{uri}/z.mp4"]))
    assert (gone.version, kind_of(gone)) == ("", "source_missing")


def test_a_change_while_it_is_read_is_noticed_before_the_end(store, monkeypatch):
    monkeypatch.setattr(fetched_file, "BLOCKS_AHEAD", 1)
    filesystem, uri, path = store
    (ref,) = Listing([f"{uri}/z.mp4"])
    with open_source(ref, max_size_mib=None) as file:
        assert file.raw.read(BLOCK)
        filesystem.pipe_file(f"{path}/z.mp4", bytes(ref.size_bytes))
        if filesystem.protocol[0] == "file":
            os.utime(f"{path}/z.mp4", (1e9, 1e9))
        with pytest.raises(SourceUnavailable, match="has changed") as seen:
            file.read()
    assert seen.value.error_kind == "source_changed"
    filesystem.pipe_file(f"{path}/z.mp4", b"short")
    assert kind_of(ref) in ("source_changed", "source_unavailable")
    filesystem.rm_file(f"{path}/z.mp4")
    assert kind_of(ref) == "source_missing"
    with pytest.raises(SettingsError, match="names no object"):
        list(Listing([f"{uri}/z.mp4"]))


@pytest.mark.parametrize(("uri", "extra"), [("gs://b/a.mp4", "gcs"), ("az://b/a.mp4", "azure")])
def test_a_package_that_is_missing_is_named(uri, extra, monkeypatch):
    """As it is where the tests run; elsewhere this is how it would be."""
    with monkeypatch.context() as absent:
        for package in ("gcsfs", "adlfs"):
            absent.setitem(sys.modules, package, None)
        with pytest.raises(SettingsError, match=rf"pip install 'flexivideo\[{extra}\]'"):
            list(Listing([uri]))


@pytest.mark.parametrize(
    "uri", ["memory://a.mp4", "file://host/a.mp4", "reference://a", "zip://a.mp4::https://h/b.zip"]
)
def test_no_other_filesystem_of_fsspec_is_opened(uri, tmp_path):
    (tmp_path / "m.txt").write_text(f"{uri}\na.mp4\n")
    listing = Listing([], StoreSettings(), manifests=[str(tmp_path / "m.txt")])
    assert (len(list(listing)), listing.n_unusable) == (1, 1)
    with pytest.raises(SettingsError):
        list(Listing([uri]))
