"""The dataset as other people's readers see it."""

import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from dataset_helpers import (
    WIDTH,
    commit_videos,
    make_identity,
    make_ref,
    parts,
    undone,
    video_rows,
    writing,
)

from flexivideo.errors import DatasetError
from pipeline.assembly import Assembler
from pipeline.schemas import PARTITIONS, SCHEMA_VERSION, TABLES, VIDEOS
from pipeline.store import LocalStore
from pipeline.tables import part_name, write_part
from pipeline.views import connect

README = (Path(__file__).parents[1] / "README.md").read_text()
REFS = [make_ref("a"), make_ref("b")]
IDENTITY = make_identity()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("it's a [root]*")
    commit_videos(LocalStore(str(root)), REFS, identity=IDENTITY)
    return root


def test_views_join_on_what_belongs_together(root):
    rows = connect(str(root)).execute(
        """SELECT uri, start_s, caption FROM clips JOIN videos USING (video_id)
           ORDER BY uri, start_pts"""
    )
    expected = [
        (ref.uri, 2.0 * index, f"clip {index} of {ref.uri}") for ref in REFS for index in range(3)
    ]
    assert rows.fetchall() == expected


def test_the_vectors_are_unit_arrays_of_one_width(root):
    lengths = connect(str(root)).execute(
        "SELECT len(embedding), list_inner_product(embedding, embedding) FROM embeddings"
    )
    assert lengths.fetchall() == [(WIDTH, pytest.approx(1.0))] * 6


@pytest.mark.parametrize("table", ["videos", "scenes", "clips", "thumbnails"])
def test_every_file_has_the_schema_of_the_contract(root, table):
    written = [pq.read_schema(part) for part in parts(root, table)]
    for schema in written:
        assert schema.equals(TABLES[table], check_metadata=False)
        assert schema.metadata[b"schema_version"] == SCHEMA_VERSION.encode()
        for field in schema:
            assert field.metadata[b"meaning"]


def test_nothing_is_nullable_that_does_not_say_when():
    for schema in TABLES.values():
        for field in schema:
            meaning = field.metadata[b"meaning"].decode()
            if field.nullable and field.name != "time_base_den":
                assert "null" in meaning, field.name


@pytest.mark.parametrize(
    "query", re.findall(r"```sql\n(.*?)```", README, flags=re.DOTALL)[0].split(";")[:-1]
)
def test_the_queries_of_the_readme_run_and_find_something(root, query):
    found = connect(str(root)).execute(query.replace("%red%", "%clip 1%")).fetchall()
    assert found


def test_other_readers_see_the_same_clips(root):
    glob = str(root / "clips").replace("[", "[[]").replace("*", "[*]")
    readers = {
        "duckdb": duckdb.connect().execute(
            f"SELECT clip_id FROM read_parquet('{glob.replace(chr(39), chr(39) * 2)}/**/*.parquet')"
        ),
        "pyarrow": ds.dataset(str(root / "clips"), partitioning="hive").to_table(),
        "polars": pl.concat([pl.read_parquet(part, glob=False) for part in parts(root, "clips")]),
        "pandas": pd.concat([pd.read_parquet(part) for part in parts(root, "clips")]),
    }
    ids = {
        "duckdb": sorted(row[0] for row in readers["duckdb"].fetchall()),
        "pyarrow": sorted(readers["pyarrow"]["clip_id"].to_pylist()),
        "polars": sorted(readers["polars"]["clip_id"].to_list()),
        "pandas": sorted(readers["pandas"]["clip_id"].tolist()),
    }
    assert len(ids["duckdb"]) == 6
    assert len({tuple(found) for found in ids.values()}) == 1


def test_pandas_and_numpy_get_the_vectors_without_a_detour(root):
    table = pq.read_table(parts(root, "embeddings")[0], partitioning=None)
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, WIDTH)
    assert vectors.dtype == np.float32


def test_about_the_vectors_stands_beside_them(root):
    field = pq.read_schema(parts(root, "embeddings")[0]).field("embedding")
    assert field.metadata[b"dimension"] == str(WIDTH).encode()
    assert field.metadata[b"text_joint"] == b"false"


@pytest.mark.parametrize("order", ["missing, then there", "there, then missing for a while"])
def test_that_a_file_was_missing_is_past_once_its_name_was_indexed(tmp_path, order):
    """What is missing has no version, and so another id than the file that comes (back)."""
    store = LocalStore(str(tmp_path))
    missing, there, other = make_ref("a", version=""), make_ref("a", "7-7"), make_ref("b", "")
    of_a = [(missing, "unavailable"), (there, "success")]
    for ref, status in [*(of_a if order.startswith("missing") else of_a[::-1]), (other, "failed")]:
        with writing(store, run_id=ref.video_id) as committer, Assembler() as assembler:
            n_clips = 3 if status == "success" else 0
            committer.add(*assembler.push(video_rows(ref, status=status, n_clips=n_clips)))
            committer.commit()
    rows = connect(store.root).execute("SELECT video_id, status FROM videos").fetchall()
    assert set(rows) == {(there.video_id, "success"), (other.video_id, "failed")}


def test_a_version_that_changed_under_way_is_past_once_a_later_one_is_known(tmp_path):
    store = LocalStore(str(tmp_path))
    for version, status in (("1-1", "success"), ("2-2", "unavailable"), ("3-3", "success")):
        with writing(store, run_id=version) as committer, Assembler() as assembler:
            ref = make_ref("a", version)
            committer.add(*assembler.push(video_rows(ref, status=status)))
            committer.commit()
        rows = connect(store.root).execute("SELECT version FROM videos ORDER BY version")
        seen = [row for (row,) in rows.fetchall()]
        expected = {"1-1": ["1-1"], "2-2": ["1-1", "2-2"], "3-3": ["1-1", "3-3"]}
        assert seen == expected[version]


def test_that_a_video_could_not_be_had_hides_nothing_that_is_known_of_it(tmp_path):
    """As when the store fails in a night with a new model: the old captions stay, and it is due."""
    store, other = LocalStore(str(tmp_path)), make_identity(name="other")
    commit_videos(store, REFS[:1], identity=IDENTITY)
    lost = video_rows(REFS[0], n_clips=0, status="unavailable", error_kind="source_unavailable")
    with writing(store, run_id="later", identity=other) as committer, Assembler() as assembler:
        committer.add(*assembler.push(lost))
        committer.commit()
    connection = connect(store)
    assert connection.execute("SELECT status FROM videos").fetchall() == [("success",)]
    assert connection.execute("SELECT count(*) FROM clips").fetchall() == [(3,)]
    assert undone(store, IDENTITY, REFS[:1]) == []
    assert [ref.video_id for ref in undone(store, other, REFS[:1])] == [REFS[0].video_id]


def test_a_connection_sees_what_was_committed_when_it_was_opened(tmp_path):
    """The same in every table; and none is opened on the beginnings of a run alone."""
    store = LocalStore(str(tmp_path))
    with writing(store), pytest.raises(DatasetError, match="no video"):
        connect(store.root)
    commit_videos(store, REFS[:1], identity=IDENTITY, run_id="first")
    connection = connect(store.root)
    commit_videos(store, REFS[1:], identity=IDENTITY, run_id="second")
    for number, seen in ((1, connection), (len(REFS), connect(store.root))):
        for table in ("videos", "scenes", "clips", "embeddings"):
            (n_videos,) = seen.execute(f"SELECT count(DISTINCT video_id) FROM {table}").fetchone()
            assert n_videos == number, table


def test_a_root_without_a_dataset_is_named_and_left_alone(tmp_path):
    with pytest.raises(DatasetError, match="no dataset"):
        connect(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_tables_without_parts_are_empty_views(root):
    connection = connect(str(root))
    assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(0,)]
    empty = connection.sql("SELECT * FROM settings").to_arrow_table()
    assert isinstance(empty, pa.Table)
    assert empty.column_names == TABLES["settings"].names


@pytest.mark.parametrize("table", list(PARTITIONS))
def test_an_empty_view_has_the_columns_of_a_full_one(root, tmp_path, table):
    """A query must not break on the night on which every upload failed."""
    store = LocalStore(str(tmp_path))
    with writing(store) as committer, Assembler() as assembler:
        failed = video_rows(make_ref("a"), n_clips=0, status="failed", error_kind="empty")
        committer.add(*assembler.push(failed))
        committer.commit()
    empty, full = (
        connect(where).sql(f"SELECT * FROM {table}").to_arrow_table().schema
        for where in (store.root, str(root))
    )
    assert empty.names == full.names
    for name in set(full.names) - {"embedding"}:  # its width is not known yet
        assert empty.field(name).type == full.field(name).type


@pytest.mark.parametrize(
    "name", ["segmenter_id=abc", "video_id=1", "ingest_date=2020-01-01", "model=qwen", "status=x"]
)
def test_folders_above_the_root_are_no_columns(tmp_path, name):
    """Data lakes are full of such names."""
    store = LocalStore(str(tmp_path / name / "root"))
    commit_videos(store, REFS, identity=IDENTITY)
    assert list(undone(store, IDENTITY, REFS)) == []
    found = connect(store.root).execute(
        """SELECT DISTINCT status, segmenter_id, ingest_date::VARCHAR, model FROM videos
           JOIN clips USING (video_id) JOIN embeddings USING (clip_id, ingest_date)"""
    )
    day = "2026-01-02"
    assert found.fetchall() == [("success", IDENTITY.segmenter_id, day, IDENTITY.model_id)]


def test_what_is_not_a_part_is_not_read(tmp_path):
    store = LocalStore(str(tmp_path))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / ".DS_Store").write_bytes(b"x")
    with pytest.raises(DatasetError, match="no dataset"):
        connect(store.root)
    assert list(undone(store, IDENTITY, REFS)) == REFS
    commit_videos(store, REFS, identity=IDENTITY)
    pq.write_table(pa.table({"uri": [["no"]]}), tmp_path / "videos" / "foreign.parquet")
    assert connect(store.root).execute("SELECT count(*) FROM videos").fetchall() == [(2,)]


def test_parts_of_a_version_without_a_column_are_read_with_nulls(tmp_path):
    store = LocalStore(str(tmp_path))
    commit_videos(store, REFS, identity=IDENTITY)
    for part in parts(tmp_path, "videos"):
        older = pq.read_table(part, partitioning=None).drop_columns(["limits_id"])
        pq.write_table(older, part)
    assert list(undone(store, IDENTITY, REFS)) == []
    rows = connect(store.root).execute("SELECT DISTINCT limits_id FROM videos").fetchall()
    assert rows == [(None,)]


def test_what_a_loser_wrote_for_a_number_that_was_sealed_is_not_read(tmp_path):
    """It is removed sooner or later, and a reader that had listed it would miss it."""
    store = LocalStore(str(tmp_path))
    commit_videos(store, REFS, identity=IDENTITY)
    write_part(store, f"videos/{part_name(99)}", VIDEOS, [])
    (written, *_) = parts(tmp_path, "scenes")
    orphan = written.with_name(part_name(99))
    orphan.write_bytes(written.read_bytes())
    connection = connect(store.root)
    orphan.unlink()
    assert connection.execute("SELECT count(*) FROM all_scenes").fetchall() == [(12,)]
