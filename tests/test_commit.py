"""A video appears whole or not at all, whatever stops the writer, and never twice."""

import dataclasses
import json
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crashing_store import Crash, CrashingStore
from dataset_helpers import (
    ManualClock,
    commit_videos,
    make_identity,
    make_ref,
    parts,
    undone,
    video_rows,
    writing,
)
from s3_server import client

from flexivideo.errors import DatasetError, LeaseLost, SettingsError
from pipeline.assembly import Assembler, CompleteVideo
from pipeline.commit import Committer
from pipeline.index_session import open_for_index
from pipeline.outcomes import ErrorKind, Status
from pipeline.part_reading import footer
from pipeline.records import VideoRef
from pipeline.run_identity import RunIdentity
from pipeline.settings import CommitSettings
from pipeline.store import LocalStore, open_store
from pipeline.store_settings import StoreSettings
from pipeline.views import connect

ARABIC_ZERO = "\u0660"  # a decimal digit to Python

REFS = [make_ref(name) for name in ("a", "b", "c")]
DATA_TABLES = ("scenes", "clips", "embeddings", "thumbnails")


def index(store, refs=REFS, *, hours_later=0):
    identity, clock = make_identity(), ManualClock()
    clock.forward(3600 * hours_later)  # a crashed run's lease has run out by then
    commit_videos(store, list(undone(store, identity, refs)), identity=identity, clock=clock)


def current(store):
    """The dataset as readers see it, less what differs from run to run."""
    try:
        connection = connect(store)
    except DatasetError:
        return {}
    tables = {}
    for table in ("videos", *DATA_TABLES):
        rows = connection.sql(f"SELECT * FROM {table}").to_arrow_table()
        kept = [
            name
            for name in rows.column_names
            if name not in ("commit_id", "scenes_commit_id", "committed_at", "run_id")
        ]
        tables[table] = sorted(map(repr, rows.select(kept).to_pylist()))
    return tables


def assert_whole(store):
    """Every video that a reader sees has all its rows in every table."""
    if current(store):
        counts = connect(store).execute(
            """SELECT n_clips, n_scenes,
                 (SELECT count(*) FROM clips c WHERE c.video_id = v.video_id),
                 (SELECT count(*) FROM scenes s WHERE s.video_id = v.video_id),
                 (SELECT count(*) FROM embeddings e WHERE e.video_id = v.video_id),
                 (SELECT count(*) FROM thumbnails t WHERE t.video_id = v.video_id)
               FROM videos v"""
        )
        for n_clips, n_scenes, clips, scenes, vectors, pictures in counts.fetchall():
            assert (clips, vectors, pictures) == (n_clips,) * 3
            assert scenes == n_scenes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = LocalStore(str(tmp_path_factory.mktemp("undisturbed")))
    index(store)
    return current(store)


def number_of_changes():
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        store = CrashingStore(LocalStore(root), None, after=False)
        index(store)
        return store.n_changes


def crash_and_go_on(store, undisturbed, crash_at, *, after):
    with pytest.raises(Crash):
        index(CrashingStore(store, crash_at - (not after), after=after))
    assert_whole(store)
    index(store, hours_later=2)
    assert_whole(store)
    assert current(store) == undisturbed
    for table in DATA_TABLES:  # plain globs show each row once
        n_stored = sum(footer(store, part).num_rows for part in store.list(table))
        assert n_stored == len(undisturbed[table])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("crash_at", range(1, number_of_changes() + 1))
def test_a_crash_at_any_change_then_another_run_equals_an_undisturbed_one(
    tmp_path, undisturbed, crash_at, after
):
    crash_and_go_on(LocalStore(str(tmp_path)), undisturbed, crash_at, after=after)


# Some of them: the lease, within a commit, at its marker, the lease again.
@pytest.mark.parametrize("crash_at", [1, 4, 7, number_of_changes()])
def test_so_does_a_crash_over_an_object_store(s3_server, undisturbed, crash_at):
    client(s3_server).makedirs(f"crashes-{crash_at}")
    store = open_store(f"s3://crashes-{crash_at}/index", StoreSettings(endpoint_url=s3_server))
    crash_and_go_on(store, undisturbed, crash_at, after=True)


def test_a_second_run_has_nothing_to_do(tmp_path):
    store = LocalStore(str(tmp_path))
    index(store)
    assert list(undone(store, make_identity(), REFS)) == []


def test_a_new_model_does_all_again_and_its_rows_are_the_current_ones(tmp_path):
    store, other = LocalStore(str(tmp_path)), make_identity(name="other")
    index(store)
    again = list(undone(store, other, REFS))
    assert [dataclasses.replace(ref, scenes_commit_id=None) for ref in again] == REFS
    commit_videos(store, REFS, identity=other, run_id="second")
    rows = connect(store.root).execute("SELECT DISTINCT model_id FROM clips").fetchall()
    assert rows == [(other.model_id,)]
    assert len(current(LocalStore(str(tmp_path)))["scenes"]) == 3 * 6


def test_what_is_tried_again_by_a_later_run_is_what_the_videos_are_not_at_fault_for(tmp_path):
    """The store and the model's machine may have recovered; limits may have been raised."""
    kinds = dict.fromkeys(Status)
    kinds |= {kind: "partial" for kind in (ErrorKind.OUT_OF_MEMORY, ErrorKind.MODEL_ERROR)}
    store, refs = LocalStore(str(tmp_path)), {name: make_ref(name) for name in kinds}
    with writing(store) as committer, Assembler() as assembler:
        for name, ref in refs.items():
            ended = {"status": "partial", "error_kind": name} if kinds[name] else {"status": name}
            committer.add(*assembler.push(video_rows(ref, **ended)))
        refs["lost"] = make_ref("lost")  # with its workers
        committer.add(CompleteVideo.lost(refs["lost"], passes=3))
        committer.commit()

    def again(identity: RunIdentity) -> set[VideoRef]:
        return set(undone(store, identity, refs.values()))

    any_run = {refs["unavailable"], refs["model_error"], refs["lost"]}
    assert again(make_identity()) == any_run
    others = {refs[name] for name in ("quarantined", "skipped", "out_of_memory")}
    assert again(make_identity(limits="higher")) == any_run | others


def test_what_others_put_under_the_root_is_never_removed(tmp_path):
    """A root may be a folder of somebody's films, with folders called clips and thumbnails."""
    foreign = [
        tmp_path / name
        for name in (
            "clips/holiday.mp4",
            "thumbnails/part-1.parquet",
            "scenes/ingest_date=2026-01-01/part-00000-spark.parquet",
            f"embeddings/notes/part-{12 * ARABIC_ZERO}.parquet",
        )
    ]
    early = tmp_path / "clips" / "part-000000000099.parquet"
    for path in (*foreign, early):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    index(LocalStore(str(tmp_path)))
    assert early.read_bytes() == b"mine"  # before the first holder nothing can be an orphan
    early.unlink()
    index(LocalStore(str(tmp_path)), [make_ref("later")], hours_later=2)
    assert [path.read_bytes() for path in foreign] == [b"mine"] * len(foreign)


def test_no_row_of_a_video_that_was_refused_after_its_first_clips_is_stored(tmp_path):
    """Its row says no clip; captions of what is encrypted, or of another version, would be lies."""
    store, ref = LocalStore(str(tmp_path)), REFS[0]
    refused = video_rows(ref, n_clips=0, status="failed", error_kind="encrypted")
    with writing(store) as committer, Assembler() as assembler:
        whole = assembler.push(pa.concat_tables([video_rows(ref).slice(0, 3), refused]))
        committer.add(*whole)
        committer.commit()
    assert [parts(tmp_path, table) for table in DATA_TABLES] == [[]] * len(DATA_TABLES)


class CarelessStore(LocalStore):
    """Replaces what it was to create, as some object stores do."""

    def create_if_absent(self, path, finished):
        self.delete(path)
        return super().create_if_absent(path, finished)


def test_a_store_that_replaces_what_is_there_holds_no_dataset(tmp_path):
    with pytest.raises(SettingsError, match="If-None-Match"):
        index(CarelessStore(str(tmp_path)))
    assert json.loads((tmp_path / "leases" / "index.json").read_text())["released"]


@contextmanager
def sleeper(store, clock):
    """A committer with one video, whose lease is short."""
    with (
        open_for_index(store, run_id="sleeper", lease_s=60, clock=clock) as session,
        Assembler() as assembler,
    ):
        committer = Committer(
            session, identity=make_identity(), settings=CommitSettings(), sample_fps=2.0
        )
        committer.add(*assembler.push(video_rows(REFS[0])))
        yield committer


def assert_only_the_successor_committed(root):
    assert_whole(LocalStore(str(root)))
    uris = connect(str(root)).execute("SELECT uri FROM videos ORDER BY uri").fetchall()
    assert uris == [(ref.uri,) for ref in REFS[1:]]
    assert all(len(parts(root, table)) == 2 for table in DATA_TABLES)


def test_a_holder_that_slept_before_its_commit_cannot_commit(tmp_path):
    """Its lease ran out and another run took the root, which may be erasing that very video: no
    part of it is put there, even for a moment.
    """
    clock, store = ManualClock(), LocalStore(str(tmp_path))
    with sleeper(store, clock) as committer:
        clock.forward(61)
        commit_videos(LocalStore(str(tmp_path)), REFS[1:], run_id="successor", clock=clock)
        refusing = CrashingStore(store, crash_at=0, after=False)
        store.create_if_absent = refusing.create_if_absent
        with pytest.raises(LeaseLost):
            committer.commit()
    assert_only_the_successor_committed(tmp_path)


@pytest.mark.parametrize("kept", [False, True], ids=["files removed", "files kept"])
@pytest.mark.parametrize("asleep_at", ["scenes", "thumbnails", "videos"])
def test_a_holder_that_slept_within_its_commit_cannot_commit(
    tmp_path, monkeypatch, asleep_at, kept
):
    """The number that its successor sealed refuses it, even if its unfinished files were there."""
    clock, store = ManualClock(), LocalStore(str(tmp_path))
    publish = store.create_if_absent
    if kept:
        monkeypatch.setattr("pipeline.index_session.remove_orphans", lambda store: [])

    def publish_after_sleep(path, finished):
        if path.startswith(asleep_at):
            clock.forward(61)
            commit_videos(LocalStore(str(tmp_path)), REFS[1:], run_id="successor", clock=clock)
        return publish(path, finished)

    with sleeper(store, clock) as committer:
        store.create_if_absent = publish_after_sleep
        with pytest.raises(LeaseLost):
            committer.commit()
        store.create_if_absent = publish
    assert_only_the_successor_committed(tmp_path)


def failing(store, table, *, after):
    """The store, failing at a table's part: before it was published, or after."""
    publish = store.create_if_absent

    def fail(path, finished):
        if path.startswith(table):
            if after:
                publish(path, finished)
            raise OSError(5, "Input/output error")
        return publish(path, finished)

    store.create_if_absent = fail
    return store


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("table", [*DATA_TABLES, "videos"])
def test_a_store_that_fails_leaves_whole_videos_and_the_next_run_mends_it(
    tmp_path, undisturbed, table, after
):
    """The reply may be lost though the part is there: its data must not be cleaned away then."""
    store = LocalStore(str(tmp_path))
    with writing(store) as committer, Assembler() as assembler:
        for ref in REFS:
            committer.add(*assembler.push(video_rows(ref)))
        failing(store, table, after=after)
        with pytest.raises(OSError, match="error"):
            committer.commit()
        with pytest.raises(RuntimeError, match="new session"):
            committer.commit()  # its number may be a hole, which a successor would not seal
    assert_whole(LocalStore(str(tmp_path)))
    committed = table == "videos" and after
    assert len(current(LocalStore(str(tmp_path))).get("videos", [])) == (3 if committed else 0)
    index(LocalStore(str(tmp_path)))
    assert_whole(LocalStore(str(tmp_path)))
    assert current(LocalStore(str(tmp_path))) == undisturbed


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    store = LocalStore(str(tmp_path))
    with writing(store) as committer, Assembler() as assembler:
        committer.add(*assembler.push(video_rows(REFS[0])))
        failing(store, "thumbnails", after=False)
        with pytest.raises(OSError, match="error"):
            committer.commit()
    assert all(parts(tmp_path, table) == [] for table in DATA_TABLES)
    assert list(store.list(".staging")) == [".staging/lock"]


def test_a_committer_that_is_left_commits_what_is_whole(tmp_path):
    """However the run ended: what was paid for is kept."""

    def run_into_an_error():
        with (
            writing(LocalStore(str(tmp_path))) as committer,
            committer,
            Assembler() as assembler,
        ):
            committer.add(*assembler.push(video_rows(REFS[0])))
            raise KeyError

    with pytest.raises(KeyError):
        run_into_an_error()
    assert_whole(LocalStore(str(tmp_path)))
    assert len(current(LocalStore(str(tmp_path)))["videos"]) == 1


def test_several_videos_share_a_commit_and_rows_are_sorted(tmp_path):
    store = LocalStore(str(tmp_path))
    with writing(store) as committer, Assembler() as assembler:
        for ref in REFS:
            committer.add(*assembler.push(video_rows(ref)))
        receipt = committer.commit()
        assert receipt.n_videos == 3
        assert committer.commit() is None
    for table in ("scenes", "clips"):
        (part,) = parts(tmp_path, table)
        rows = pq.read_table(part, partitioning=None).to_pylist()
        keys = [(row["video_id"], row["start_pts"]) for row in rows]
        assert keys == sorted(keys)


def test_a_commit_is_due_by_rows_or_by_time(tmp_path):
    now = [0.0]
    with writing(LocalStore(str(tmp_path)), every_rows=15, every_s=5.0) as committer:
        committer._monotonic = lambda: now[0]
        committer._last_s = 0.0
        with Assembler() as assembler:
            assert not committer.due()
            committer.add(*assembler.push(video_rows(REFS[0])))
            assert not committer.due()  # 10 rows
            now[0] = 5.0
            assert committer.due()
            now[0] = 0.0
            committer.add(*assembler.push(video_rows(REFS[1])))
            assert committer.due()
            committer.commit()


def test_float16_vectors_are_stored_as_such(tmp_path):
    store = LocalStore(str(tmp_path))
    with writing(store, embedding_dtype="float16") as committer, Assembler() as assembler:
        committer.add(*assembler.push(video_rows(REFS[0])))
        committer.commit()
    (part,) = parts(tmp_path, "embeddings")
    kind = pq.read_schema(part).field("embedding").type
    assert str(kind) == "fixed_size_list<element: halffloat not null>[8]"


def test_refs_travel_as_dataclasses():
    assert dataclasses.asdict(REFS[0])["uri"] == "/archive/a.mp4"


def test_staging_files_are_on_the_disk_of_the_root(tmp_path):
    assert Path(LocalStore(str(tmp_path)).staging_file().name).is_relative_to(tmp_path)
