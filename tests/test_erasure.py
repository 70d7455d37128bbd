"""An erased video stands nowhere any more, whenever the machine stops; the others stay."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crashing_store import Crash, CrashingStore
from dataset_helpers import ManualClock, commit_videos, make_identity, make_ref
from s3_server import client

from flexivideo.errors import DatasetError
from jobs.delete import delete
from pipeline.erasure import erase
from pipeline.index_session import open_for_index
from pipeline.records import VideoRef
from pipeline.runs import note_prompts
from pipeline.store import LocalStore, open_store
from pipeline.store_settings import StoreSettings
from pipeline.views import connect

KEPT, ERASED = make_ref("kept"), [make_ref("private", "1-1"), make_ref("private", "2-2")]
TABLES = ("videos", "scenes", "clips", "embeddings", "thumbnails")


def fill(store):
    """Two versions of it, one of them captioned twice, beside another in the same commits."""
    commit_videos(store, [KEPT, *ERASED])
    commit_videos(store, [KEPT, ERASED[0]], identity=make_identity(name="other"), run_id="again")


def erased(store, *, hours_later=0):
    clock = ManualClock()
    clock.forward(3600 * hours_later)
    with open_for_index(store, run_id="erasing", lease_s=60, clock=clock) as session:
        return erase(store, ERASED[0].uri, check=session.check)


def rows(store, uri):
    """All rows of a video in every table, its old commits' with them."""
    connection = connect(store)
    ids = "SELECT video_id FROM all_videos WHERE uri = $uri"
    return {
        table: sorted(
            map(
                repr,
                connection.sql(
                    f"SELECT * FROM all_{table} WHERE video_id IN ({ids})", params={"uri": uri}
                )
                .to_arrow_table()
                .to_pylist(),
            )
        )
        for table in TABLES
    }


def assert_gone(store):
    """By name and by id, in the bytes and in what they decode to."""
    traces = [ERASED[0].uri, *(ref.video_id for ref in ERASED)]
    for path in store.list(""):
        content = store.read(path)
        shown = content.decode("latin-1")
        if path.endswith(".parquet"):
            shown += str(pq.read_table(pa.BufferReader(content)).to_pylist())
        assert not [trace for trace in traces if trace in shown], path


def test_it_is_gone_from_every_byte_and_the_others_are_as_they_were(tmp_path):
    store = LocalStore(str(tmp_path))
    fill(store)
    before = rows(store, KEPT.uri)
    assert all(before.values())
    assert erased(store) == 2
    assert_gone(store)
    assert rows(store, KEPT.uri) == before
    with pytest.raises(DatasetError, match="not in"):
        erased(store)


def test_so_it_is_in_an_object_store(s3_server):
    client(s3_server).makedirs("erasing")
    store = open_store("s3://erasing/index", StoreSettings(endpoint_url=s3_server))
    fill(store)
    before = rows(store, KEPT.uri)
    assert erased(store) == 2
    assert_gone(store)
    assert rows(store, KEPT.uri) == before


def test_a_root_that_is_mistyped_becomes_none(tmp_path):
    with pytest.raises(DatasetError, match="no dataset"):
        delete(str(tmp_path / "typo"), "/archive/private.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_utf8_is_erased_by_its_uri(tmp_path):
    odd = VideoRef(uri="file:///b%FF.mp4", version="1", video_id="odd", size_bytes=1)
    store = LocalStore(str(tmp_path))
    commit_videos(store, [KEPT, odd])
    assert delete(str(tmp_path), odd.uri) == 0
    assert connect(store).execute("SELECT uri FROM videos").fetchall() == [(KEPT.uri,)]


def test_what_was_asked_of_it_alone_goes_with_it(tmp_path, capsys):
    """A prompt may name a person too; one that others are asked as well stays."""
    store, identity = LocalStore(str(tmp_path)), make_identity()
    secret, common = "What does Anna-Mustermann-XYZZY do?", "Who is it?"
    refs = [
        replace(ERASED[0], prompt=secret),
        replace(ERASED[1], prompt=common),
        replace(KEPT, prompt=common),
    ]
    commit_videos(store, refs, identity=identity, outcome={"content_digest": "d" * 64})
    with open_for_index(store, run_id="asking", lease_s=60) as session:
        note_prompts(session, identity, refs)
    delete(str(tmp_path), ERASED[0].uri)
    assert (
        f"the same bytes stand under 1 other name, the first {KEPT.uri}" in capsys.readouterr().out
    )
    assert_gone(store)
    meanings = connect(store).execute("SELECT meaning FROM settings").fetchall()
    assert [json.loads(meaning)["prompt"] for (meaning,) in meanings] == [common]
    assert not [path for path in store.list("") if b"XYZZY" in store.read(path)]


def test_a_reader_that_has_listed_a_part_finds_it_afterwards(tmp_path):
    store = LocalStore(str(tmp_path))
    commit_videos(store, ERASED[:1])
    connection = connect(store)
    erased(store)
    for table in TABLES:
        assert connection.execute(f"SELECT count(*) FROM all_{table}").fetchall() == [(0,)]


def test_numbers_of_commits_are_not_used_again(tmp_path):
    store = LocalStore(str(tmp_path))
    commit_videos(store, ERASED[:1])
    numbers = [path for path in store.list("videos") if path.startswith("videos/")]
    erased(store)
    assert [path for path in store.list("videos") if path in numbers] == numbers
    commit_videos(store, [KEPT], run_id="later")
    assert connect(store).execute("SELECT uri FROM videos").fetchall() == [(KEPT.uri,)]


def number_of_changes(tmp_path):
    store = LocalStore(str(tmp_path / "counted"))
    fill(store)
    counting = CrashingStore(store, None, after=False)
    erased(counting)
    return counting.n_changes


def test_a_crash_at_any_change_leaves_it_whole_or_hidden_and_the_next_holder_finishes(tmp_path):
    for crash_at in range(1, number_of_changes(tmp_path) + 1):
        store = LocalStore(str(tmp_path / str(crash_at)))
        fill(store)
        whole = connect(store).execute("SELECT count(*) FROM clips").fetchall()
        with pytest.raises(Crash):
            erased(CrashingStore(store, crash_at, after=True))
        connection = connect(store)
        uris = {uri for (uri,) in connection.execute("SELECT uri FROM videos").fetchall()}
        seen = connection.execute("SELECT count(*) FROM clips").fetchall()
        assert seen == whole or uris == {KEPT.uri} or _are_whole(connection)
        was_noted = bool(list(store.list("erasures")))
        clock = ManualClock()
        clock.forward(7200)
        with open_for_index(store, run_id="next", lease_s=60, clock=clock):
            pass
        if was_noted:
            assert_gone(store)
        assert KEPT.uri in rows(store, KEPT.uri)["videos"][0]


def _are_whole(connection):
    """Every video that is seen has all its clips."""
    counted = connection.execute(
        "SELECT n_clips, (SELECT count(*) FROM clips c WHERE c.video_id = v.video_id) FROM videos v"
    )
    return all(expected == found for expected, found in counted.fetchall())
