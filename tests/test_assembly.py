import pyarrow as pa
import pytest
from dataset_helpers import make_ref, video_rows

from pipeline.assembly import SPOOL_IN_MEMORY_BYTES, Assembler, CompleteVideo
from pipeline.records import CAPTIONED_SCHEMA


@pytest.fixture
def assembler():
    with Assembler() as assembler:
        yield assembler


def pushed(assembler, *tables):
    return [video for table in tables for video in assembler.push(table)]


def content(video):
    return pa.Table.from_batches(video.batches(), CAPTIONED_SCHEMA)


def test_a_video_is_whole_exactly_when_its_last_row_has_come(assembler):
    rows = video_rows(make_ref("a"))
    for index in range(rows.num_rows - 1):
        assert assembler.push(rows.slice(index, 1)) == []
    (video,) = assembler.push(rows.slice(rows.num_rows - 1))
    assert content(video).equals(rows.slice(0, 3))
    assert assembler.pending() == []


def test_any_order_and_mixture_gives_the_same_videos(assembler, rng):
    tables = [video_rows(make_ref(name), n_clips=n) for name, n in (("a", 3), ("b", 5), ("c", 1))]
    mixed = pa.concat_tables(tables)
    mixed = mixed.take(pa.array(rng.permutation(mixed.num_rows)))
    pieces = [mixed.slice(start, 2) for start in range(0, mixed.num_rows, 2)]
    videos = {video.uri: content(video) for video in pushed(assembler, *pieces)}
    for table in tables:
        expected = table.slice(0, table.num_rows - 1)
        assert videos[table["uri"][0].as_py()].equals(expected)


def test_doubles_change_nothing(assembler):
    rows = video_rows(make_ref("a"))
    (video,) = pushed(assembler, rows.slice(0, 2), rows.slice(0, 2), rows, rows)
    assert content(video).num_rows == 3


@pytest.mark.parametrize("outcome_first", [False, True])
def test_clips_of_a_video_that_was_refused_after_all_are_none_of_it(assembler, outcome_first):
    """A film may prove encrypted, changed or too long after its first clips have gone out."""
    rows = video_rows(make_ref("a"), n_errors=1)
    refused = video_rows(make_ref("a"), n_clips=0, status="failed", error_kind="encrypted")
    tables = [rows.slice(0, 3), refused]
    (video,) = pushed(assembler, *(reversed(tables) if outcome_first else tables))
    assert content(video).num_rows == video.n_caption_tokens == 0
    assert (video.outcome["status"], video.outcome["error_kind"]) == ("failed", "encrypted")


def test_rows_of_two_executions_are_never_taken_for_one(assembler):
    """A retried task's blocks are spliced into the dead one's: both must be told apart."""
    ref = make_ref("a")
    dead, alive = video_rows(ref, attempt="dead"), video_rows(ref, attempt="alive")
    torn = pa.concat_tables([dead.slice(0, 2), alive.slice(2)])
    assert assembler.push(torn) == []
    assert assembler.pending() == [ref.video_id]
    (video,) = assembler.push(alive)
    assert set(content(video)["attempt"].to_pylist()) == {"alive"}
    assert assembler.push(dead) == []  # too late
    assert assembler.pending() == []


def test_a_video_without_clips_is_whole_with_its_outcome(assembler):
    rows = video_rows(make_ref("a"), n_clips=0, status="failed", error_kind="empty")
    (video,) = assembler.push(rows)
    assert (video.outcome["status"], list(video.batches())) == ("failed", [])


@pytest.mark.parametrize(("n_errors", "status"), [(0, "success"), (1, "partial"), (3, "failed")])
def test_captions_that_failed_are_in_the_outcome(assembler, n_errors, status):
    (video,) = assembler.push(video_rows(make_ref("a"), n_errors=n_errors))
    assert video.outcome["status"] == status
    assert video.outcome["error_kind"] == ("model_error" if n_errors else None)


def test_a_long_video_waits_on_disk(assembler):
    """The driver's memory must not follow a film's length."""
    n_clips = SPOOL_IN_MEMORY_BYTES // 1000
    (video,) = assembler.push(video_rows(make_ref("a"), n_clips=n_clips))
    assert video._spool._file._rolled
    assert content(video)["row_index"].to_pylist() == list(range(n_clips))


def test_a_video_that_lost_its_rows_still_ends():
    video = CompleteVideo.lost(make_ref("a"), passes=3)
    assert (video.outcome["status"], video.outcome["error_kind"]) == ("quarantined", "crashed")
    assert video.n_rows == 1
