"""A run that is killed in a long video leaves its captions to the next, and readers see none."""

import signal

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from dataset_helpers import (
    commit_videos,
    make_identity,
    make_ref,
    undone,
    video_rows,
    writing,
)
from index_job import KILLED, index
from synthetic_media import textured_shots, write_video

from flexivideo.errors import DatasetError
from pipeline.assembly import Assembler
from pipeline.caption_keeper import CaptionKeeper
from pipeline.erasure import erase
from pipeline.index_session import open_for_index
from pipeline.kept_captions import KEPT_SCHEMA, UNDER_WAY, Kept, KeptCaptions
from pipeline.store import LocalStore
from pipeline.store_settings import StoreSettings
from pipeline.tables import write_part
from pipeline.views import connect

LONG, IDENTITY = make_ref("long"), make_identity()


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
def keeper(store, clock):
    return CaptionKeeper(store, IDENTITY, every_s=300, monotonic=clock)


@pytest.fixture
def assembler(clock):
    with Assembler(monotonic=clock) as assembler:
        yield assembler


def kept_of(store, identity=IDENTITY, ref=LONG, n_clips=9):
    """What a run of an identity finds of the clips of a video, by number."""
    parts = CaptionKeeper(store, identity, every_s=300).parts
    found = KeptCaptions(Kept(root=store.root, store=StoreSettings(), parts=parts))
    if not found.knows(ref.video_id):
        return {}
    clips = video_rows(ref, n_clips=n_clips).to_pylist()[:-1]
    rows = {clip["row_index"]: found.of(clip) for clip in clips}
    return {number: row for number, row in rows.items() if row is not None}


def keep_some(keeper, assembler, clock, n_rows, **rows):
    """Let rows of a long video come, and the time to keep them."""
    assembler.push(video_rows(LONG, n_clips=9, **rows).slice(0, n_rows))
    clock.now_s += 300
    keeper.keep(assembler)


def test_what_has_come_of_a_long_video_is_there_for_the_next_run(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    names = [name for name in KEPT_SCHEMA.names if name != "clip_key"]
    rows = video_rows(LONG, n_clips=9).select(names).to_pylist()
    assert kept_of(store) == dict(enumerate(rows[:4]))


def test_each_row_is_kept_once_however_often_it_is_time(store, keeper, assembler, clock):
    for end in (2, 5, 5, 9):
        keep_some(keeper, assembler, clock, end)
    paths = list(store.list(UNDER_WAY))
    assert sum(pq.read_metadata(store.uri(path)).num_rows for path in paths) == 9
    assert set(kept_of(store)) == set(range(9))


def test_a_video_that_has_just_begun_is_not_kept(store, keeper, assembler, clock):
    clock.now_s = 299
    assembler.push(video_rows(LONG, n_clips=9).slice(0, 4))
    clock.now_s = 301
    keeper.keep(assembler)
    assert list(store.list(UNDER_WAY)) == []


def test_clips_that_failed_are_tried_again(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4, n_errors=2)
    assert set(kept_of(store)) == {2, 3}


def test_other_settings_and_another_version_have_no_use_for_it(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    assert kept_of(store, make_identity(name="other")) == {}
    assert kept_of(store, ref=make_ref("long", "2-2")) == {}
    assert kept_of(store) != {}


def test_scenes_with_other_bounds_or_another_question_are_other_clips(
    store, keeper, assembler, clock
):
    keep_some(keeper, assembler, clock, 4)
    found = KeptCaptions(Kept(root=store.root, store=StoreSettings(), parts=keeper.parts))
    clip = video_rows(LONG).to_pylist()[0]
    first, second = clip["scenes"]
    assert found.of(clip) is not None
    assert found.of(clip | {"prompt": "And the weather?"}) is None
    for name in ("start_pts", "end_pts", "n_frames"):
        assert found.of(clip | {"scenes": [first | {name: 7}, second]}) is None


def whole(assembler, **outcome):
    return assembler.push(video_rows(LONG, n_clips=9, **outcome))


def test_nothing_is_left_of_a_video_that_is_committed(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    keeper.committed(whole(assembler))
    assert list(store.list(UNDER_WAY)) == []
    keep_some(keeper, assembler, clock, 4)
    assert list(store.list(UNDER_WAY)) == []


def test_a_source_that_failed_meanwhile_leaves_it(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    keeper.committed(whole(assembler, status="unavailable", error_kind="source_unavailable"))
    assert len(kept_of(store)) == 4


def test_what_a_run_left_that_died_after_its_commit_is_removed(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    other = make_ref("other")
    commit_videos(store, [other])
    assert len(kept_of(store)) == 4
    commit_videos(store, [LONG], run_id="died")
    assert undone(store, IDENTITY, [LONG]) == []
    assert kept_of(store) == {}
    assert list(store.list(UNDER_WAY)) == []


def test_the_committer_tells_of_what_it_committed(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    with writing(store, on_commit=keeper.committed) as committer:
        for video in whole(assembler):
            committer.add(video)
        assert list(store.list(UNDER_WAY)) != []
        committer.commit()
    assert list(store.list(UNDER_WAY)) == []


def test_an_erased_video_is_gone_from_there_too(store, keeper, assembler, clock):
    keep_some(keeper, assembler, clock, 4)
    with open_for_index(store, run_id="erasing", lease_s=60) as session:
        assert erase(store, LONG.uri, check=session.check) == 1
        with pytest.raises(DatasetError):
            erase(store, LONG.uri, check=session.check)
    assert list(store.list(UNDER_WAY)) == []


N_CLIPS = 60

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
    assert were_kept == [True] * n_marked + [False] * (N_CLIPS - n_marked)
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
