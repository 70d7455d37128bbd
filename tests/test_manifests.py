"""Manifests in three formats name the same videos; what cannot be used is named."""

import csv
from itertools import islice
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import FaultyProxy, client

from flexivideo.errors import SettingsError, SourceUnavailable
from pipeline.identity import video_id
from pipeline.source_file import open_source
from pipeline.sources import Listing, local_ref
from pipeline.store_settings import StoreSettings

ODD = ['a "quoted", name', "ä ö+%", "new;semi", " leading", "#no comment", "日本"]


def made_up(seed, n_rows):
    """Rows of objects with odd names."""
    rng = np.random.default_rng(seed)
    return [
        {
            "uri": f"s3://bucket/{ODD[rng.integers(len(ODD))]}/{number}.mp4",
            "etag": f"{rng.integers(2**62):032x}",
            "size_bytes": int(rng.integers(1, 2**40)),
        }
        for number in range(n_rows)
    ]


def written(folder, kind, rows):
    path = folder / f"list{kind}"
    if kind == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    elif kind == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(f"{row['uri']}\n" for row in rows), encoding="utf-8")
    return str(path)


def listed(manifest, store=StoreSettings()):
    listing = Listing([], store, [manifest])
    return list(listing), listing.unusable


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
@pytest.mark.parametrize("seed", range(3))
def test_rows_with_etag_and_size_are_references_as_they_stand(tmp_path, kind, seed):
    """No store is asked: there is none."""
    rows = made_up(seed, 40)
    refs, unusable = listed(written(tmp_path, kind, rows))
    assert [(ref.uri, ref.version, ref.size_bytes) for ref in refs] == [
        tuple(row.values()) for row in rows
    ]
    assert all(ref.video_id == video_id(ref.uri, ref.version) for ref in refs)
    assert not unusable


@pytest.mark.parametrize("kind", [".txt", ".csv", ".parquet"])
def test_paths_are_relative_to_the_manifest(tmp_path, kind):
    (tmp_path / "b").mkdir()
    for name in ("a.mp4", "b/c, d.mkv"):
        (tmp_path / name).write_bytes(b"x")
    names = ["b/c, d.mkv", str(tmp_path / "a.mp4"), "gone.mp4", "./a.mp4"]
    refs, unusable = listed(written(tmp_path, kind, [{"uri": name} for name in names]))
    expected = [local_ref(str(tmp_path / name)) for name in ("b/c, d.mkv", "a.mp4", "gone.mp4")]
    assert (refs, unusable) == (expected, [])


def test_empty_lines_and_comments_name_nothing(tmp_path):
    (tmp_path / "list.txt").write_text("\ufeff# nightly\n\ns3://b/a.mp4\r\n  \n")
    (tmp_path / "a.txt").write_text("# nothing\n")
    with pytest.raises(SettingsError, match=r"names no video$"):
        listed(str(tmp_path / "a.txt"))


BAD = [
    ({"uri": ""}, "expected a path"),
    ({"uri": "https://host/a.mp4"}, "expected a path"),
    ({"uri": "a\0b"}, "expected a path"),
    ({"uri": "s3://b/a.mp4", "etag": "e", "size_bytes": "many"}, "whole number"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_a_row_that_cannot_be_used_is_named_and_stops_nobody(tmp_path, row, reason):
    good = {"uri": "s3://b/good.mp4", "etag": '"e"', "size_bytes": "7"}
    manifest = written(tmp_path, ".csv", [good | row, good])
    refs, unusable = listed(manifest)
    assert [(ref.uri, ref.version) for ref in refs] == [("s3://b/good.mp4", "e")]
    assert len(unusable) == 1
    assert unusable[0].startswith(f"{manifest}:2: ")
    assert reason in unusable[0]
    with pytest.raises(SettingsError, match=reason):
        listed(written(tmp_path, ".csv", [good | row]))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("list.json", b"[]", "no known kind"),
        ("list.csv", b"path\na.mp4\n", "expected uri"),
        ("list.csv", b"uri,start_s\na.mp4,3\n", "start_s"),
        ("list.csv", b"uri,prompt\na.mp4,What?\n", "prompt"),
        ("list.parquet", b"PAR1 it is not", "cannot be read"),
        ("list.csv", b"", "expected uri"),
    ],
)
def test_what_is_no_manifest_is_said_so(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=reason) as seen:
        listed(str(tmp_path / name))
    assert name in str(seen.value)
    with pytest.raises(SettingsError, match=r"gone\.csv"):
        listed(str(tmp_path / "gone.csv"))


def test_the_first_video_comes_before_the_rest_is_read(tmp_path):
    rows = made_up(1, 5_000)
    manifest = written(tmp_path, ".csv", [*rows, {"uri": "\0"} | rows[0] | {"size_bytes": "x"}])
    listing = Listing([], StoreSettings(), [manifest])
    assert len(list(islice(listing, 10))) == 10
    assert listing.unusable == []  # the last row, which is not read yet
    assert len(list(listing)) == 5_000
    assert len(listing.unusable) == 1


def test_objects_are_looked_up_where_their_version_is_not_given(tmp_path, s3_server):
    store = client(s3_server)
    store.makedirs("manifested")
    for name in ("a.mp4", "ä+.mp4"):
        store.pipe_file(f"manifested/{name}", name.encode())
    proxy = FaultyProxy(s3_server)
    proxy.begin(lambda n: None, of=lambda request: True)
    settings = StoreSettings(endpoint_url=proxy.address)
    uris = [f"s3://manifested/{name}" for name in ("ä+.mp4", "gone.mp4", "a.mp4")]
    by_listing = {ref.uri: ref for ref in Listing(["s3://manifested"], settings)}
    proxy.begin(lambda n: None, of=lambda request: True)
    text = written(tmp_path, ".txt", [{"uri": uri} for uri in uris])
    refs, unusable = listed(text, settings)
    assert ([ref.uri for ref in refs], unusable) == (uris, [])
    assert [ref for ref in refs if ref.version] == [by_listing[uris[0]], by_listing[uris[2]]]
    assert proxy.n_counted == 3
    with pytest.raises(SourceUnavailable) as seen:
        open_source(refs[1], max_size_mib=None, store=settings)
    assert seen.value.error_kind == "source_missing"
    store.put_file(text, f"manifested/{quote('list 1')}.txt")
    again, _ = listed(f"s3://manifested/{quote('list 1')}.txt", settings)
    assert again == refs
    proxy.close()
