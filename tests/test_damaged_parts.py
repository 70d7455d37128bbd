"""A part that is damaged, or is none of ours, is named by whoever reads it, and nothing is done."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from dataset_helpers import ManualClock, commit_videos, make_identity, make_ref, parts

from flexivideo.errors import PartDamaged
from jobs.cli import main
from pipeline.erasure import erase
from pipeline.index_session import open_for_index
from pipeline.part_reading import footer
from pipeline.part_rewriting import rewrite_part
from pipeline.resume import Resume
from pipeline.source_presence import SeenVideos
from pipeline.store import LocalStore
from pipeline.stored_rows import StoredRows
from pipeline.views import connect

REFS = [make_ref("a"), make_ref("b")]


@pytest.fixture
def store(tmp_path):
    """Two commits of a video each, after the seal."""
    store = LocalStore(str(tmp_path))
    commit_videos(store, REFS)
    return store


def torn(path):
    content = path.read_bytes()
    path.write_bytes(content[:-100])


def emptied(path):
    path.write_bytes(b"")


def garbled(path):
    """A footer of zeros, of the length that it says."""
    content = path.read_bytes()
    path.write_bytes(content[:-300] + bytes(292) + content[-8:])


def hold(store):
    clock = ManualClock()
    clock.forward(7200)
    with open_for_index(store, run_id="next", lease_s=60, clock=clock):
        pass


READERS = {
    "connect": connect,
    "resume": lambda store: Resume(store, make_identity()),
    "presence": lambda store: SeenVideos().presence(store, ["/archive/"]),
    "hold": hold,
    "erase": lambda store: erase(store, REFS[0].uri, check=lambda: None),
}


@pytest.mark.parametrize(("number", "damage"), [(0, emptied), (1, torn), (2, garbled)])
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_takes_the_others_for_all_there_is(store, tmp_path, reader, number, damage):
    """Else its videos would be missing in a search, and be done again."""
    part = parts(tmp_path, "videos")[number]
    damage(part)
    with pytest.raises(PartDamaged, match=f"{part}' cannot be read.*restore the file"):
        READERS[reader](store)


@pytest.mark.parametrize("damage", [torn, emptied, garbled])
def test_so_are_parts_of_the_other_tables(store, tmp_path, damage):
    (path,) = (path for path in store.list("clips") if path.endswith("1.parquet"))
    commit = connect(store).execute("SELECT commit_id FROM videos ORDER BY uri").fetchone()[0]
    damage(tmp_path / path)
    for read in (
        lambda: footer(store, path),
        lambda: rewrite_part(store, path, lambda rows: rows, check=lambda: None),
        lambda: StoredRows(store).of("clips", REFS[0].video_id, commit),
    ):
        with pytest.raises(
            PartDamaged, match=f"{tmp_path / path}' cannot be read.*our table clips"
        ):
            read()


def test_what_the_store_says_is_not_taken_for_damage(store):
    with pytest.raises(FileNotFoundError):
        footer(store, "videos/part-000000000009.parquet")
    with pytest.raises(IsADirectoryError):
        footer(store, "videos")


def rewritten(part, change):
    pq.write_table(change(pq.read_table(part, partitioning=None)), part)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop_columns(["uri", "status"]), "lacks the columns uri, status"),
        (lambda rows: pa.table({"a": [1]}), "lacks the columns video_id, uri"),
        (
            lambda rows: rows.set_column(0, "video_id", [pa.array([7])]),
            "a column video_id of int64, which is string",
        ),
        (
            lambda rows: rows.set_column(  # as a tool without time zones writes it
                rows.schema.get_field_index("committed_at"),
                "committed_at",
                pc.cast(rows["committed_at"], pa.timestamp("us")),
            ),
            r"of timestamp\[us\], which is timestamp\[us, tz=UTC\]",
        ),
    ],
    ids=["columns", "foreign", "type", "zone"],
)
def test_a_part_of_another_schema_is_named(store, tmp_path, change, said):
    part = parts(tmp_path, "videos")[1]
    rewritten(part, change)
    for reader in READERS.values():
        with pytest.raises(PartDamaged, match=f"{part}.*{said}"):
            reader(store)


def test_other_versions_and_tools_may_write_a_part(store, tmp_path):
    """More columns, nullable ones fewer, and texts as they keep them."""

    def otherwise(rows):
        rows = rows.drop_columns(["prompt", "range_start_s", "range_end_s", "limits_id"])
        rows = rows.append_column("of_tomorrow", [pa.array([1])])
        return rows.set_column(1, "uri", rows["uri"].cast(pa.large_string()))

    before = connect(store).sql("SELECT uri, status FROM videos ORDER BY ALL").fetchall()
    rewritten(parts(tmp_path, "videos")[1], otherwise)
    for reader in READERS.values():
        reader(store)
    after = connect(store).sql("SELECT uri, status FROM videos ORDER BY ALL").fetchall()
    assert after == before[1:]  # the last of the readers erases one


@pytest.mark.parametrize("command", ["show", "sql"])
def test_a_person_is_told_which_file_it_is(store, tmp_path, capfd, command):
    part = parts(tmp_path, "videos")[1]
    torn(part)
    with pytest.raises(SystemExit) as ended:
        main([command, store.root, *(["FROM videos"] if command == "sql" else [])])
    assert ended.value.code == 1
    assert f"the dataset's part '{part}' cannot be read" in capfd.readouterr().err
