"""Manifests in three formats, on a disk and on a real S3 server: which videos they give."""

import csv
import os
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from decode_helpers import make_plan
from s3_server import client

from flexivideo.errors import SettingsError, SourceUnavailable
from pipeline import manifest_rows, object_files, patience, sources
from pipeline.given_videos import GivenVideos
from pipeline.identity import video_id
from pipeline.records import VideoRef
from pipeline.source_file import open_source
from pipeline.sources import Listing
from pipeline.store_settings import StoreSettings
from pipeline.video_rows import video_rows

BUCKET = "manifests"
# What has a meaning in one of the formats, in a shell or to a person.
ALPHABET = [*"ab1 ,;\"'#%?&=+\\\t|äß日本🎬", "e\u0301", "./", "x/"]
ETAG = "0123456789abcdef0123456789abcdef"


def write(path, rows):
    """The rows (uri, or uri, etag and size) as what the file's extension says."""
    names = ("uri", "etag", "size_bytes")[: len(rows[0])]
    if path.suffix == ".parquet":
        columns = {
            name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)
        }
        pq.write_table(pa.table(columns), path, row_group_size=100)
    elif path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *rows])
    else:
        path.write_text("".join(f"{uri}\n" for uri, *_ in rows), encoding="utf-8")
    return str(path)


def listed(manifest, settings=StoreSettings(), sources=()):
    return list(Listing(sources, settings, manifests=[str(manifest)]))


def unusable(manifest):
    listing = Listing([], manifests=[str(manifest)])
    return len(list(listing)), listing.n_unusable, listing.unusable


@pytest.fixture(scope="module")
def bucket(s3_server):
    store = client(s3_server)
    store.call_s3("create_bucket", Bucket=BUCKET)
    for name in ("a.mp4", "b ,ä.mp4"):
        store.pipe_file(f"{BUCKET}/{name}", name.encode())
    return store


@pytest.fixture
def settings(proxy, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    return StoreSettings(endpoint_url=proxy.address)


def test_three_formats_give_the_same_videos_in_the_same_order(tmp_path, rng):
    """And what is given round-trips: each name is that of the file, whatever stands in it."""
    names = ["".join(rng.choice(ALPHABET, rng.integers(1, 12))) + ".mp4" for _ in range(300)]
    names = [name for name in dict.fromkeys(names) if name[0] != "#"]
    for name in names[::2]:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    rows = [(name,) for name in rng.permutation(names)]
    refs = [listed(write(tmp_path / f"m{kind}", rows)) for kind in (".txt", ".csv", ".parquet")]
    assert refs[0] == refs[1] == refs[2]
    paths = [os.path.abspath(tmp_path / name) for (name,) in rows]
    assert [ref.uri for ref in refs[0]] == list(dict.fromkeys(paths))
    for ref in refs[0]:
        there = os.path.exists(ref.uri)
        assert (ref.size_bytes, bool(ref.version)) == (
            os.path.getsize(ref.uri) if there else None,
            there,
        )


def test_csv_and_parquet_give_versions_and_sizes_without_a_request(tmp_path, rng, proxy, settings):
    rows = [
        (f"s3://nobody/{''.join(rng.choice(ALPHABET, 8))}", f'"{rng.bytes(16).hex()}"', int(size))
        for size in rng.integers(1, 2**62, 500)
    ]
    proxy.begin(lambda n: None, of=lambda request: True)
    expected = [
        VideoRef(uri=uri, version=(e := etag.strip('"')), video_id=video_id(uri, e), size_bytes=n)
        for uri, etag, n in dict.fromkeys(rows)
    ]
    for kind in (".csv", ".parquet"):
        assert listed(write(tmp_path / f"m{kind}", rows), settings) == expected
    assert proxy.n_counted == 0


def test_what_tools_make_of_numbers_and_gaps_is_understood(tmp_path):
    columns = {
        "uri": pa.array([f"s3://bucket/{n}" for n in range(3)]).dictionary_encode(),
        "etag": pa.array([ETAG] * 3, pa.large_string()),
        "size_bytes": [1.0, 2.0, 3.0],  # as pandas keeps integers with gaps
    }
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    (tmp_path / "m.csv").write_text(
        f"title, size_bytes ,uri,etag\r\n\r\nA,1.0,s3://bucket/0,{ETAG}\r\n"
        f'B, 2,s3://bucket/1,"""{ETAG}"""\r\n"C\nc",3,s3://bucket/2,{ETAG}\r\n',
        encoding="utf-8-sig",
        newline="",
    )
    of_parquet, of_csv = (listed(tmp_path / name) for name in ("m.parquet", "m.csv"))
    assert of_parquet == of_csv
    assert [ref.size_bytes for ref in of_csv] == [1, 2, 3]


def test_text_leaves_out_blank_lines_and_comments_and_names_lines_by_their_number(tmp_path):
    path = tmp_path / "m.LIST"
    path.write_bytes(
        b"\xef\xbb\xbf# night\r\n\r\na.mp4\r\n   \n#b.mp4\nhttp://host/c.mp4\n./#d.mp4"
    )
    listing = Listing([], manifests=[str(path)])
    assert [ref.uri for ref in listing] == [str(tmp_path / "a.mp4"), str(tmp_path / "#d.mp4")]
    (reason,) = listing.unusable
    assert reason.startswith(f"{path}:6: ")


def test_what_our_tables_call_a_file_names_it_again(tmp_path):
    odd = tmp_path / os.fsdecode(b"n\xff.mp4")
    odd.write_bytes(b"x")
    (known,) = Listing([str(odd)])
    assert known.uri.startswith("file://")
    assert listed(write(tmp_path / "m.csv", [(known.uri,)])) == [known]


BAD_URIS = [
    ("", "empty"),
    (" ", "empty"),
    ("ftp://host/a.mp4", "expected a path or an object"),
    ("file://host/a.mp4", "file://host"),
    ("a\0b.mp4", "NUL"),
    ("file:///a%00b.mp4", "NUL"),
    ("s3://", "s3://bucket/key"),
    ("s3://bucket", "s3://bucket/key"),
    ("s3://bucket/", "s3://bucket/key"),
    ("s3://b!d/a.mp4", "s3://bucket/key"),
    ("s3://bucket/" + "ä" * 513, "s3://bucket/key"),
]


@pytest.mark.parametrize("kind", [".csv", ".parquet", ".txt"])
@pytest.mark.parametrize(("uri", "reason"), BAD_URIS, ids=lambda value: repr(value[:20]))
def test_a_uri_that_names_nothing_is_named_and_the_next_one_read(tmp_path, kind, uri, reason):
    rows = [(uri,), ("a.mp4",)]
    if kind == ".txt" and not uri.strip():
        return  # a blank line
    if kind == ".csv" and not uri:  # alone it would be a blank line
        rows = [(*row, "", "") for row in rows]
    path = write(tmp_path / f"m{kind}", rows)
    n_given, n_unusable, (said,) = unusable(path)
    assert (n_given, n_unusable) == (1, 1)
    assert said.startswith(f"{path}:{2 if kind == '.csv' else 1}: ")
    assert reason in said
    assert said.isprintable()


@pytest.mark.parametrize("kind", [".csv", ".parquet", ".txt"])
def test_a_uri_that_is_no_utf8_is_named_and_the_next_one_read(tmp_path, kind):
    path = tmp_path / f"m{kind}"
    if kind == ".parquet":
        uris = pa.array([b"\xff.mp4", b"a.mp4"], pa.binary()).view(pa.string())
        pq.write_table(pa.table({"uri": uris}), path)
    else:
        path.write_bytes(b"uri\n" * (kind == ".csv") + b"\xff.mp4\na.mp4\n")
    n_given, n_unusable, (said,) = unusable(path)
    assert (n_given, n_unusable, "expected UTF-8" in said) == (1, 1, True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"s3://bucket/a,{ETAG},many", "size_bytes is 'many'"),
        (f"s3://bucket/a,{ETAG},-1", "size_bytes is '-1'"),
        (f"s3://bucket/a,{ETAG},1.5", "size_bytes is '1.5'"),
        (f"s3://bucket/a,{ETAG},1_000", "size_bytes"),
        (f"s3://bucket/a,{ETAG},{2**63}", "size_bytes"),
        (f"s3://bucket/a,{ETAG},{'9' * 5000}", "size_bytes"),
        ("a.mp4,,nan", "size_bytes is 'nan'"),
        ("s3://bucket/a,two words,1", "the etag is 'two words'"),
        ('s3://bucket/a,"two\nlines",1', "the etag is"),
        ("s3://bucket/a,ä,1", "the etag is 'ä'"),
        (f"s3://bucket/a,b.mp4,{ETAG},1", "4 fields; expected 3"),
        ("s3://bucket/a", "1 fields; expected 3"),
        (f'"s3://bucket/a"b,{ETAG},1', "no CSV"),
        (f"s3://bucket/{'a' * 200_000},{ETAG},1", "no CSV"),
    ],
    ids=lambda value: value[:24],
)
def test_an_unusable_line_of_csv_is_named_and_the_next_one_read(tmp_path, line, reason):
    path = tmp_path / "m.csv"
    path.write_text(f"uri,etag,size_bytes\n{line}\ns3://bucket/b,{ETAG},1\n")
    n_given, n_unusable, (said,) = unusable(path)
    assert (n_given, n_unusable) == (1, 1)
    assert said.startswith(f"{path}:2: ")
    assert reason in said
    assert len(said) < 500


@pytest.mark.parametrize(
    "columns",
    [
        {"uri": [1, 2]},
        {"uri": pa.array([b"a", b"b"], pa.binary())},
        {"uri": [{"a": 1}, None]},
        {"uri": ["a", "b"], "size_bytes": [True, False]},
        {"uri": ["a", "b"], "size_bytes": [1.5, float("inf")]},
        {"uri": ["a", "b"], "size_bytes": [-1, -2]},
        {"uri": ["a", "b"], "etag": [1, 2]},
    ],
    ids=str,
)
def test_columns_of_parquet_of_other_types_are_said_to_be(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    with pytest.raises(SettingsError, match=r"no line that can be used.*m\.parquet:1: .*expected"):
        Listing([], manifests=[str(tmp_path / "m.parquet")])


@pytest.mark.parametrize("name", ["uri", "etag", "size_bytes", "start_s", "prompt"])
@pytest.mark.parametrize(
    "cells",
    [
        pa.array([10**7, None, None], pa.date32()),
        pa.array([2**62, None, None], pa.timestamp("us")),
        pa.array([2**62, None, None], pa.timestamp("us")).dictionary_encode(),
        pa.array([1, None, None], pa.timestamp("us", tz="No/Where")),
        pa.array([[b"\xff"], None, None], pa.list_(pa.binary())).cast(
            pa.list_(pa.string()), safe=False
        ),
    ],
    ids=lambda cells: str(cells.type)[:24],
)
def test_a_cell_of_parquet_that_python_cannot_have_is_named_and_the_next_one_read(
    tmp_path, name, cells
):
    columns = {"uri": ["a.mp4", "b.mp4", "c.mp4"]}
    pq.write_table(pa.table(columns | {name: cells}), tmp_path / "m.parquet")
    if name == "uri":  # then all lines are empty, but for the first
        with pytest.raises(SettingsError, match=r"m\.parquet:1: uri is of type .*cannot be read"):
            Listing([], manifests=[str(tmp_path / "m.parquet")])
        return
    n_given, n_unusable, (said,) = unusable(tmp_path / "m.parquet")
    assert (n_given, n_unusable) == (2, 1)
    assert f"m.parquet:1: {name} is of type " in said
    assert "; expected text or a number" in said
    assert said.isprintable()


def test_an_unclosed_quote_takes_its_lines_with_it_and_says_which(tmp_path):
    (tmp_path / "m.csv").write_text('uri\na.mp4\n"b.mp4\nc.mp4\n')
    n_given, n_unusable, (said,) = unusable(tmp_path / "m.csv")
    assert (n_given, n_unusable) == (1, 1)
    assert ":3: no CSV up to line 4" in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.xml", "", "expected one of .txt, .list, .csv, .parquet, .json"),
        ("m", "a.mp4", "no known kind"),
        ("m.csv.gz", "", "no known kind"),
        ("m.txt", "# nothing\n\n", "no line that can be used at all"),
        ("m.txt", "ftp://a/b\nftp://c/d\n", "m.txt:1: the uri is 'ftp://a/b'"),
        ("m.csv", "", r"the columns \(none\); expected one uri"),
        ("m.csv", "uri\n", "no line that can be used at all"),
        ("m.csv", "path,etag\na.mp4,\n", "the columns path, etag; expected one uri"),
        ("m.csv", "uri;etag\na.mp4;\n", "expected one uri"),
        ("m.csv", "uri,uri\na.mp4,b.mp4\n", "expected one uri"),
        ("m.csv", "uri,start_s,start_s\na.mp4,1,2\n", "at most one each of etag, .*start_s"),
        ("m.parquet", "PAR1", "cannot be read"),
    ],
)
def test_a_file_that_is_no_manifest_stops_the_run_before_it_starts(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError, match=said):
        Listing([], manifests=[str(tmp_path / name)])


def test_a_manifest_that_is_no_file_stops_the_run_before_it_starts(tmp_path, bucket, settings):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("gone.csv", "folder.csv", "pipe.csv"):
        with pytest.raises(SettingsError, match=name):
            Listing([], manifests=[str(tmp_path / name)])
    for uri in (f"s3://{BUCKET}/gone.csv", "s3://nobody/gone.csv"):
        with pytest.raises(SettingsError, match="is not there"):
            Listing([], settings, manifests=[uri])
    with pytest.raises(SettingsError, match="fetch it first") as seen:
        Listing([], manifests=["https://host/list.csv?sig=5ecre7"])
    assert "5ecre7" not in str(seen.value)
    stranger = StoreSettings(endpoint_url=settings.endpoint_url, anonymous=True)
    with pytest.raises(SettingsError, match="refused with these credentials"):
        Listing([], stranger, manifests=[f"s3://{BUCKET}/gone.csv"])


def test_the_named_lines_are_few_and_all_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_NAMED", 3)
    path = write(tmp_path / "m.txt", [("ftp://a/b",)] * 10 + [("a.mp4",)])
    n_given, n_unusable, named = unusable(path)
    assert (n_given, n_unusable, len(named)) == (1, 10, 3)


def test_a_video_comes_once_and_a_manifest_is_no_folder(tmp_path):
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(b"x")
    names = ["c.mp4", "gone.mp4", "./a.mp4", "c.mp4", str(tmp_path / "a.mp4"), "gone.mp4"]
    path = write(tmp_path / "m.csv", [(name,) for name in names])
    listing = Listing([str(tmp_path), str(tmp_path / "a.mp4")], manifests=[path, path])
    given = [os.path.basename(ref.uri) for ref in listing]
    assert given == ["c.mp4", "gone.mp4", "a.mp4", "b.mp4"]
    assert listing.folders == [f"{tmp_path}/"]
    assert list(listing) == list(listing)


def test_ids_are_told_apart_wherever_they_stand():
    """Among 16 million names that share a bucket; also ids that span two others."""
    given = GivenVideos()
    first, second = "0000" + "11" * 14, "0000" + "22" * 14
    spanning = "0000" + "11" * 7 + "22" * 7
    assert given.add(first)
    assert given.add(second)
    assert spanning not in given
    assert given.add(spanning)
    assert not any(given.add(known) for known in (first, second, spanning))
    ids = [video_id(str(number), "") for number in range(20_000)]
    assert all(given.add(known) for known in ids)
    assert not any(given.add(known) for known in ids)


def test_objects_of_a_store_with_and_without_their_versions(bucket, proxy, settings, tmp_path):
    """What is given costs nothing; an etag without a size is looked up, and the store counts."""
    uris = [f"s3://{BUCKET}/{name}" for name in ("a.mp4", "b ,ä.mp4", "gone.mp4")]
    whole = {ref.uri: ref for ref in Listing([f"s3://{BUCKET}/"], settings)}
    rows = [(uri, "", "") for uri in uris] + [(uris[0], ETAG, ""), (uris[1], ETAG, 7)]
    path = write(tmp_path / "m.csv", rows)
    proxy.begin(lambda n: None, of=lambda request: request.method == "HEAD")
    first, second, gone, given = listed(path, settings)
    assert proxy.n_counted == 4
    assert [first, second] == [whole[uri] for uri in uris[:2]]
    assert (gone.version, gone.size_bytes) == ("", None)
    assert gone.video_id == video_id(uris[2], "")
    assert (given.uri, given.version, given.size_bytes) == (uris[1], ETAG, 7)


def kind_of(ref, settings):
    with (
        pytest.raises(SourceUnavailable) as seen,
        open_source(ref, max_size_mib=None, store=settings) as file,
    ):
        file.read()
    return seen.value.error_kind, seen.value.detail


def test_what_cannot_be_had_is_unavailable_for_its_own_reason(bucket, settings, tmp_path):
    there, gone = f"s3://{BUCKET}/a.mp4", f"s3://{BUCKET}/later.mp4"
    (known,) = Listing([there], settings)
    rows = [(gone, "", ""), (there, ETAG, 5), (there, known.version, 3), (there, known.version, 9)]
    missing, stale, short, long = listed(write(tmp_path / "m.csv", rows[:3]), settings) + listed(
        write(tmp_path / "n.csv", rows[3:]), settings
    )
    assert kind_of(missing, settings)[0] == "source_missing"
    assert kind_of(stale, settings)[0] == "source_changed"
    kind, detail = kind_of(short, settings)
    assert (kind, "has 5 bytes; listed as 3" in detail) == ("source_unavailable", True)
    assert kind_of(long, settings)[0] == "source_unavailable"
    bucket.pipe_file(f"{BUCKET}/later.mp4", b"now it is")
    assert kind_of(missing, settings)[0] == "source_changed"
    bucket.rm_file(f"{BUCKET}/later.mp4")
    stranger = StoreSettings(endpoint_url=settings.endpoint_url, anonymous=True)
    (denied,) = listed(write(tmp_path / "o.csv", [(there,)]), stranger)
    assert (denied.version, kind_of(denied, stranger)[0]) == ("", "source_denied")


def test_an_object_that_is_not_there_ends_as_a_row_that_says_so(bucket, settings, tmp_path):
    (ref,) = listed(write(tmp_path / "m.txt", [(f"s3://{BUCKET}/gone.mp4",)]), settings)
    (rows,) = video_rows(ref, "attempt", replace(make_plan(), store=settings))
    (outcome,) = rows.column("outcome").to_pylist()
    assert (outcome["status"], outcome["error_kind"]) == ("unavailable", "source_missing")


def test_waiting_for_an_object_that_was_not_there_shows_that_it_is_alive(
    bucket, proxy, settings, tmp_path
):
    (ref,) = listed(write(tmp_path / "m.txt", [(f"s3://{BUCKET}/gone.mp4",)]), settings)
    proxy.begin(lambda n: "late reply" if n == 0 else None, of=lambda request: True)
    beats = []
    with pytest.raises(SourceUnavailable, match="not there"):
        open_source(ref, max_size_mib=None, store=settings, beat=lambda: beats.append(1))
    proxy.begin(lambda n: None)
    assert beats


def test_one_object_that_does_not_answer_is_a_row_and_a_silent_store_ends_the_run(
    bucket, proxy, settings, tmp_path
):
    uris = [(f"s3://{BUCKET}/a.mp4",), *((f"s3://{BUCKET}/{n}.mp4",) for n in range(100))]
    path = write(tmp_path / "m.txt", uris)
    proxy.begin(lambda n: "slow down", of=lambda request: "/7.mp4" in request.path)
    assert len(listed(path, settings)) == len(uris)
    assert proxy.n_broken == patience.TRIES
    proxy.begin(lambda n: "slow down", of=lambda request: True)
    with pytest.raises(SettingsError, match="look at the network"):
        listed(path, settings)
    proxy.begin(lambda n: None)


@pytest.mark.parametrize("kind", [".txt", ".csv", ".parquet"])
def test_a_manifest_in_a_store_is_read_as_it_is_asked_for(
    bucket, proxy, settings, tmp_path, monkeypatch, rng, kind
):
    """The first video comes before the rest is fetched; from there on all is as from a disk."""
    monkeypatch.setattr(object_files, "WHOLE_BYTES", 1 << 14)
    monkeypatch.setattr(object_files, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(manifest_rows, "BUFFER_BYTES", 1 << 14)
    monkeypatch.setattr(manifest_rows, "BATCH_ROWS", 100)
    rows = [(f"/archive/{rng.bytes(50).hex()}.mp4",) for _ in range(5000)]
    path = write(tmp_path / f"m{kind}", rows)
    bucket.pipe_file(f"{BUCKET}/lists/m{kind}", (tmp_path / f"m{kind}").read_bytes())
    n_blocks = os.path.getsize(path) >> 14
    listing = Listing([], settings, manifests=[f"s3://{BUCKET}/lists/m{kind}"])
    proxy.begin(lambda n: "reset" if n == 1 else None)
    refs = iter(listing)
    first = next(refs)
    assert proxy.n_counted < n_blocks / 2
    assert [first, *refs] == listed(path)
    assert proxy.n_counted > n_blocks / 2


def test_a_manifest_that_is_an_object_has_no_folder_for_relative_paths(bucket, settings):
    bucket.pipe_file(f"{BUCKET}/lists/m.txt", f"a.mp4\n/b.mp4\ns3://{BUCKET}/a.mp4\n".encode())
    listing = Listing([], settings, manifests=[f"s3://{BUCKET}/lists/m.txt"])
    assert [ref.uri for ref in listing] == ["/b.mp4", f"s3://{BUCKET}/a.mp4"]
    assert "m.txt:1: the uri is 'a.mp4', a relative path" in listing.unusable[0]


@pytest.mark.parametrize("kind", [".txt", ".csv", ".parquet"])
def test_a_manifest_on_a_disk_is_read_as_it_is_asked_for(tmp_path, rng, kind):
    """What is cut away behind the first part is not missed before it is reached."""
    path = write(tmp_path / f"m{kind}", [(f"{rng.bytes(100).hex()}.mp4",) for _ in range(20_000)])
    refs = iter(Listing([], manifests=[path]))
    next(refs)
    os.truncate(path, os.path.getsize(path) // 2)
    if kind == ".parquet":
        with pytest.raises(SettingsError, match="cannot be read"):
            list(refs)
    else:
        assert 5_000 < len(list(refs)) < 15_000
