"""Who dies in a long video leaves its captions to the next, and readers see none of them."""

import signal
from dataclasses import replace

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from dataset_helpers import ManualClock, make_identity, make_ref, video_rows
from index_job import KILLED, index
from synthetic_media import textured_shots, write_video

from flexivideo.errors import DatasetError, LeaseLost
from pipeline.assembly import Assembler, CompleteVideo
from pipeline.caption_keeper import CaptionKeeper
from pipeline.commit import Committer
from pipeline.erasure import erase
from pipeline.index_session import open_for_index
from pipeline.kept_captions import (
    KEPT_SCHEMA,
    SHORT_ROWS,
    UNDER_WAY,
    Kept,
    KeptCaptions,
    captioner_id,
)
from pipeline.settings import CommitSettings
from pipeline.store import LocalStore
from pipeline.store_settings import StoreSettings
from pipeline.tables import write_part
from pipeline.views import connect

LONG, IDENTITY = make_ref("long"), make_identity()
N_ROWS = SHORT_ROWS + 9


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path))


class Seconds:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Seconds()


@pytest.fixture
def today():
    return ManualClock()


@pytest.fixture
def session(store, today):
    with open_for_index(store, run_id="run", lease_s=60, clock=today) as session:
        yield session


@pytest.fixture
def keeper(session, clock):
    return CaptionKeeper(session, IDENTITY, every_s=300, monotonic=clock)


@pytest.fixture
def assembler(clock):
    with Assembler(monotonic=clock) as assembler:
        yield assembler


def found(store, identity=IDENTITY, attempt="next", **how):
    """What a worker finds of the clips of a video, by number."""
    captioner = captioner_id(identity)
    kept = KeptCaptions(Kept(root=store.root, store=StoreSettings(), captioner=captioner))
    clips = video_rows(how.pop("ref", LONG), n_clips=N_ROWS, attempt=attempt).to_pylist()[:-1]
    rows = {clip["row_index"]: kept.of(clip | how) for clip in clips}
    return {number: row for number, row in rows.items() if row is not None}


def keep_some(keeper, assembler, clock, n_rows, **rows):
    """Let rows of a long video come, so many beyond the short ones, and the time to keep them."""
    assembler.push(video_rows(LONG, n_clips=N_ROWS, **rows).slice(0, SHORT_ROWS + n_rows))
    clock.now_s += 300
    keeper.keep(assembler)


def numbers(n_rows):
    return set(range(SHORT_ROWS, SHORT_ROWS + n_rows))


def parts(store):
    return list(store.list(UNDER_WAY))


def test_what_has_come_of_a_long_video_is_there_for_who_goes_on(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    names = [name for name in KEPT_SCHEMA.names if name != "clip_key"]
    rows = video_rows(LONG, n_clips=N_ROWS).select(names).to_pylist()
    assert found(store) == {number: rows[number] for number in numbers(4)}


def test_each_row_is_kept_once_however_often_it_is_time(store, keeper, assembler, clock):
    for end in (2, 5, 5, 9):
        keep_some(keeper, assembler, clock, end)
    assert sum(pq.read_metadata(store.uri(path)).num_rows for path in parts(store)) == 9
    assert set(found(store)) == numbers(9)


def test_a_video_that_has_just_begun_is_not_kept_unless_the_run_ends(
    store, keeper, assembler, clock
):
    clock.now_s = 299
    assembler.push(video_rows(LONG, n_clips=N_ROWS).slice(0, SHORT_ROWS + 4))
    clock.now_s = 301
    keeper.keep(assembler)
    assert parts(store) == []
    keeper.keep_all(assembler)
    assert set(found(store)) == numbers(4)


def test_a_short_video_is_neither_kept_nor_looked_for(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 0)
    keeper.keep_all(assembler)
    assert parts(store) == []


def test_clips_that_failed_are_tried_again(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4, n_errors=SHORT_ROWS + 2)
    assert set(found(store)) == numbers(4) - numbers(2)


def test_it_is_of_use_to_the_same_clips_under_the_same_settings_alone(
    store, keeper, assembler, clock
):
    keep_some(keeper, assembler, clock, 4)
    assert found(store) != {}
    assert found(store, make_identity(name="other")) == {}
    assert found(store, ref=make_ref("long", "2-2")) == {}
    assert found(store, prompt="And the weather?") == {}
    first, second = video_rows(LONG, n_clips=N_ROWS).to_pylist()[SHORT_ROWS]["scenes"]
    assert set(found(store, scenes=[first, second])) == numbers(N_ROWS - SHORT_ROWS)
    for name in ("start_pts", "end_pts", "n_frames"):
        assert found(store, scenes=[first | {name: 7}, second]) == {}


@pytest.mark.parametrize("kind", ["segmenter", "packing", "model", "prompt", "limits"])
def test_every_setting_that_makes_a_caption_tells_captioners_apart(kind):
    """The decode's limits do not: within them a clip is the same."""
    other = replace(IDENTITY, **{f"{kind}_id": f"{kind}-other"})
    assert (captioner_id(other) == captioner_id(IDENTITY)) == (kind == "limits")


def test_what_cannot_be_read_is_captioned_again(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    (path,) = parts(store)
    with open(store.uri(path), "r+b") as part:
        part.truncate(100)
    assert found(store) == {}


def test_what_anybody_put_there_is_left_alone(store, session, clock):
    notes = "under_way/notes.txt", "under_way/a/00000000-b-c-d.parquet"
    for path in notes:
        assert store.compare_and_swap(path, None, b"mine")
    keeper = CaptionKeeper(session, IDENTITY, every_s=300, monotonic=clock)
    keeper.committed([])
    assert set(parts(store)) == set(notes)


def whole(assembler, ref=LONG, **outcome):
    return assembler.push(video_rows(ref, n_clips=N_ROWS, **outcome))


@pytest.mark.parametrize("status", ["success", "failed", "partial"])
def test_nothing_is_left_under_the_name_of_a_video_that_is_done(
    store, keeper, assembler, clock, status
):
    keep_some(keeper, assembler, clock, 4)
    keeper.committed(whole(assembler, ref=make_ref("long", "2-2"), status=status))
    assert parts(store) == []


@pytest.mark.parametrize(
    "outcome",
    [
        {"status": "unavailable", "error_kind": "source_unavailable"},
        {"status": "partial", "error_kind": "model_error"},
    ],
)
def test_what_a_later_run_tries_again_stays(store, keeper, assembler, clock, outcome):
    keep_some(keeper, assembler, clock, 4)
    keeper.committed(whole(assembler, **outcome))
    assert set(found(store)) == numbers(4)


def test_what_was_lost_with_its_workers_stays(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    keeper.committed([CompleteVideo.lost(LONG, passes=3)])
    assert set(found(store)) == numbers(4)


def test_what_nobody_has_gone_on_with_for_a_month_goes(
    store, session, keeper, assembler, clock, today
):
    keep_some(keeper, assembler, clock, 4)
    for days, n_left in ((30, 1), (31, 0)):
        later = ManualClock()
        later.forward(days * 24 * 3600)
        with open_for_index(
            LocalStore(store.root), run_id=f"after {days}", lease_s=60, clock=later
        ) as next_session:
            CaptionKeeper(next_session, make_identity(name="other"), every_s=300)
        assert len(parts(store)) == n_left


def test_who_has_lost_the_root_writes_nothing_there(store, keeper, assembler, clock, today):
    """Else what was erased meanwhile would come back."""
    assembler.push(video_rows(LONG, n_clips=N_ROWS).slice(0, SHORT_ROWS + 4))
    today.forward(61)
    with open_for_index(LocalStore(store.root), run_id="other", lease_s=60, clock=today):
        clock.now_s += 300
        with pytest.raises(LeaseLost):
            keeper.keep(assembler)
    assert parts(store) == []


def test_who_loses_the_root_while_he_writes_takes_it_back(
    store, keeper, assembler, clock, today, monkeypatch
):
    """Whoever has the root now has erased the video, and looked for what was kept before that."""
    assembler.push(video_rows(LONG, n_clips=N_ROWS).slice(0, SHORT_ROWS + 4))
    publish, begin, kept = store.create_if_absent, store.staging_file, []

    def begin_after_sleep():
        today.forward(61)
        with open_for_index(LocalStore(store.root), run_id="other", lease_s=60, clock=today):
            return begin()

    def publish_and_tell(path, finished):
        kept.append(path)
        return publish(path, finished)

    monkeypatch.setattr(store, "staging_file", begin_after_sleep)
    monkeypatch.setattr(store, "create_if_absent", publish_and_tell)
    clock.now_s += 300
    with pytest.raises(LeaseLost):
        keeper.keep(assembler)
    assert (len(kept), parts(store)) == (1, [])


def test_the_committer_tells_of_what_it_committed(store, keeper, assembler, clock, session):
    keep_some(keeper, assembler, clock, 4)
    committer = Committer(
        session,
        identity=IDENTITY,
        settings=CommitSettings(),
        sample_fps=2.0,
        on_commit=keeper.committed,
    )
    for video in whole(assembler):
        committer.add(video)
    assert parts(store) != []
    committer.commit()
    assert parts(store) == []


def test_an_erased_video_is_gone_from_there_too(store, keeper, assembler, clock, session):
    keep_some(keeper, assembler, clock, 4)
    assert erase(store, LONG.uri, check=session.check) == 1
    with pytest.raises(DatasetError):
        erase(store, LONG.uri, check=session.check)
    assert parts(store) == []


N_CLIPS = 90

# The seal and its proof, five settings, two blocks of clips; the third is never kept.
KILLED_AT = 10


@pytest.mark.cluster
def test_a_killed_run_is_gone_on_with_from_its_captions(rng, tmp_path):
    """The kept captions are marked, so that it shows which clips were captioned again."""
    video = write_video(tmp_path / "long.mp4", textured_shots(rng, N_CLIPS, 40))
    store = LocalStore(str(tmp_path / "root"))
    killed = index(
        video,
        store.root,
        *("--keep-every-s", "0", "--every-s", "3600"),
        command=[*KILLED, str(KILLED_AT)],
        start_new_session=True,
    )
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(DatasetError):  # nothing is seen early
        connect(store)
    n_marked = sum(mark(store, path) for path in list(store.list(UNDER_WAY)))
    assert 0 < n_marked < N_CLIPS
    done = index(video, store.root)
    assert done.returncode == 0, done.stderr
    captions = connect(store).execute("SELECT caption FROM clips ORDER BY clip_index").fetchall()
    were_kept = [caption.startswith(MARK) for (caption,) in captions]
    kept = numbers(n_marked)
    assert were_kept == [number in kept for number in range(N_CLIPS)]
    assert list(store.list(UNDER_WAY)) == []


MARK = "kept: "


def mark(store, path):
    """Rewrite a part with its captions marked; how many they are."""
    kept = pq.read_table(store.uri(path), partitioning=None)
    marked = pc.binary_join_element_wise(MARK, kept["caption"], "")
    store.delete(path)
    number = kept.schema.get_field_index("caption")
    kept = kept.set_column(number, kept.schema.field("caption"), marked)
    assert write_part(store, path, kept.schema, kept.to_pylist())
    return kept.num_rows
