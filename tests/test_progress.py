import pyarrow as pa
import pytest

from pipeline.progress import Progress
from pipeline.records import CAPTIONED_SCHEMA
from pipeline.verdicts import Verdict, outcome_of


class ManualClock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def progress(clock):
    progress = Progress(clock=clock)
    progress.compared(8, 3)
    progress.compared(2, 1)
    progress.started({"decode": 2, "caption": 1})
    return progress


def clip_row(**values):
    key = {"uri": "/a", "version": "1", "video_id": "v", "attempt": "n", "row_index": 0}
    clip = {
        "clip_index": 0,
        "start_pts": 0,
        "end_pts": 1,
        "start_s": 0.0,
        "end_s": 1.0,
        "n_scenes": 1,
        "n_frames": 2,
        "n_visual_tokens": 7,
        "boundary": "start",
    }
    return (
        key
        | {
            "kind": "clip",
            "clip": clip,
            "n_caption_tokens": 5,
            "decode_busy_s": 1.0,
            "decode_cpu_s": 0.75,
            "caption_busy_s": 0.5,
            "caption_cpu_s": 0.25,
        }
        | values
    )


def video_row():
    no_caption = {"n_caption_tokens": None, "caption_busy_s": 0.0, "caption_cpu_s": 0.0}
    return clip_row(kind="video", clip=None, **no_caption)


def rows(*values):
    return pa.Table.from_pylist(list(values), schema=CAPTIONED_SCHEMA)


def test_counters_add_up_over_clip_rows_and_the_rows_of_videos_count_no_clip(progress, clock):
    progress.rows_arrived(rows(clip_row(), clip_row(), video_row()), {"caption": 3})
    whole = {"duration_s": 60.0, "n_scenes": 9, "n_clips": 1, "n_visual_tokens": 7}
    progress.video_ended(outcome_of(Verdict(status="success"), **whole), n_caption_tokens=5)
    failed = Verdict(status="failed", error_kind="empty")
    progress.video_ended(outcome_of(failed), n_caption_tokens=0)
    clock.now_s += 10
    now = progress.snapshot()
    assert (now.n_clips_captioned, now.n_tokens_done) == (2, 24)
    assert (now.n_clips, now.n_visual_tokens, now.n_caption_tokens) == (1, 7, 5)
    assert (now.by_status, now.by_error_kind) == ({"success": 1, "failed": 1}, {"empty": 1})
    assert (now.video_s, now.n_scenes, now.queued) == (60.0, 9, {"caption": 3})
    assert now.tokens_per_s == pytest.approx(2.4)
    assert now.real_time_factor == pytest.approx(6)


def test_busy_is_a_share_of_all_workers_time(progress, clock):
    """Two decoders that worked 3 s in all out of 10 s each were busy 15 %."""
    progress.rows_arrived(rows(clip_row(), clip_row(), video_row()), {})
    clock.now_s += 10
    now = progress.snapshot()
    assert now.busy_share == pytest.approx({"decode": 0.15, "caption": 0.1})
    assert now.cpu_s == pytest.approx({"decode": 2.25, "caption": 0.5})


def test_time_left_is_unknown_before_the_first_video_has_ended(progress, clock):
    clock.now_s += 10
    assert progress.snapshot().remaining_s is None
    progress.video_ended(outcome_of(Verdict(status="success")), n_caption_tokens=0)
    assert progress.snapshot().remaining_s == pytest.approx(50)  # five more of ten seconds


def test_an_empty_table_changes_nothing(progress):
    before = progress.snapshot()
    progress.rows_arrived(CAPTIONED_SCHEMA.empty_table(), {})
    assert progress.snapshot() == before
