"""A range of a video: the frames on the screen in it, indexed as if the file held no others."""

from dataclasses import asdict, replace
from fractions import Fraction
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_helpers import ManualClock, commit_videos, make_identity, make_ref, undone
from decode_helpers import make_plan
from synthetic_media import textured_shots, write_video

from jobs.second_try import _now
from jobs.show import show_dataset
from pipeline.container import open_video
from pipeline.decode import DecodeReport
from pipeline.glimpse import VideoGlimpse, glimpse_rows
from pipeline.identity import video_id
from pipeline.index_session import open_for_index
from pipeline.known_videos import ended_otherwise
from pipeline.resume import Resume
from pipeline.sampled_frames import sampled_frames
from pipeline.sampling import InstantSampler
from pipeline.source_presence import SeenVideos, note_presence
from pipeline.sources import Listing, local_ref
from pipeline.store import LocalStore
from pipeline.store_settings import StoreSettings
from pipeline.time_ranges import TimeRange, time_range
from pipeline.timetable import Untrue
from pipeline.video_rows import video_rows
from pipeline.views import connect

FPS, LENGTH_S = 25, 30
PLAIN = StoreSettings()
MISSING = {"status": "unavailable", "error_kind": "source_missing"}


def between(start_s, end_s=None):
    return TimeRange(start_s=start_s, end_s=end_s)


MADE = {
    "closed.mp4": ("libx264", {"g": "15", "bf": "3"}),
    "open.mp4": ("libx264", {"g": "15", "bf": "3", "x264-params": "open-gop=1"}),
    "open.ts": ("libx264", {"g": "15", "bf": "3", "x264-params": "open-gop=1"}),
    "open.mpg": ("mpeg2video", {"g": "12", "bf": "2"}),
    "far.mkv": ("libx264", {"g": "1000"}),
    "vp9.webm": ("libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "stamps.avi": ("mpeg4", {"g": "12", "bf": "2"}),
}


@pytest.fixture(scope="module")
def shots():
    """Half a minute that is never twice the same."""
    frames = textured_shots(np.random.default_rng(1), 6, LENGTH_S * FPS // 6, 48, 64)
    light = np.linspace(0.7, 1.2, len(frames))[:, None, None, None]
    return np.clip(frames * light, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=sorted(MADE))
def video(request, shots, tmp_path_factory):
    codec, options = MADE[request.param]
    path = tmp_path_factory.mktemp("made") / request.param
    tick = {"time_base": Fraction(1, FPS)} if codec == "mpeg2video" else {}
    return write_video(path, shots, codec=codec, options=options, fps=FPS, **tick)


def frames_of(path, asked, *, may_skip=True, sample_fps=1000):
    """Time, end and picture of each sampled frame, and what the decode met."""
    report = DecodeReport()
    with open(path, "rb") as file, open_video(file, threads=1) as opened:
        tick_s = opened.time_base
        sampler = InstantSampler(
            sample_fps=sample_fps,
            time_base=tick_s,
            bounds=asked and partial(asked.bounds, time_base=tick_s),
        )
        taken = [
            (
                (frame.pts - report.first_pts) * tick_s,
                (frame.end_pts - report.first_pts) * tick_s,
                frame.image.to_ndarray(format="rgb24").tobytes(),
            )
            for frame in sampled_frames(opened, sampler, report, may_skip=may_skip)
        ]
    return taken, report


@pytest.mark.parametrize("may_skip", [False, True])
def test_a_range_is_the_frames_that_are_on_the_screen_in_it(video, may_skip):
    whole, _ = frames_of(video, None, may_skip=False)
    rng = np.random.default_rng(5)
    for start_s, length_s in zip(rng.uniform(0, 29, 3), rng.uniform(0.05, 9, 3), strict=True):
        asked = between(round(start_s, 3), round(start_s + length_s, 3))
        start, end = Fraction(str(asked.start_s)), Fraction(str(asked.end_s))
        expected = [frame for frame in whole if frame[1] > start and frame[0] < end]
        try:
            found, report = frames_of(video, asked, may_skip=may_skip)
        except Untrue:
            assert video.name in (
                "open.mpg",
                "stamps.avi",
            )  # not every frame has a time of its own there
            continue
        assert found == expected
        assert report.n_frames <= len([frame for frame in whole if frame[0] < end]) + 4


def test_ranges_that_follow_each_other_take_each_frame_once(video):
    whole, _ = frames_of(video, None, may_skip=False)
    cuts = [0.0, 4.0, 11.52, 12.0, 29.96]
    ranges = [*map(between, cuts, cuts[1:]), between(cuts[-1])]
    parts = [frames_of(video, asked, may_skip=False)[0] for asked in ranges]
    assert [frame for part in parts for frame in part] == whole


def rows_of(path, asked=None, **decode):
    ref = local_ref(str(path)).within(asked)
    batches = [batch.to_pylist()[0] for batch in video_rows(ref, "a", make_plan(**decode))]
    return batches[:-1], batches[-1]["outcome"]


def test_it_is_indexed_as_if_the_file_held_no_other_frames(tmp_path, shots):
    whole = write_video(tmp_path / "whole.mkv", shots, codec="ffv1", fps=FPS)
    part = write_video(tmp_path / "part.mkv", shots[7 * FPS : 21 * FPS], codec="ffv1", fps=FPS)
    clips, outcome = rows_of(whole, between(7.0, 21.0))
    alone, expected = rows_of(part)
    assert len(clips) == len(alone) > 1
    for clip, other in zip(clips, alone, strict=True):
        assert clip["pixels"] == other["pixels"]
        assert clip["thumbnail"] == other["thumbnail"]
        for name in ("n_scenes", "n_frames", "n_visual_tokens", "boundary"):
            assert clip["clip"][name] == other["clip"][name]
        assert clip["clip"]["start_s"] == pytest.approx(other["clip"]["start_s"] + 7.0)
        assert clip["clip"]["end_s"] == pytest.approx(other["clip"]["end_s"] + 7.0)
        assert [s["frame_deltas"] for s in clip["scenes"]] == [
            s["frame_deltas"] for s in other["scenes"]
        ]
    of_file = ("content_digest", "n_frames_decoded")
    assert {n: v for n, v in outcome.items() if n not in of_file} == {
        n: v for n, v in expected.items() if n not in of_file
    }
    assert outcome["status"] == "success"
    assert outcome["duration_s"] == pytest.approx(14.0)
    assert outcome["content_digest"] == rows_of(whole)[1]["content_digest"]  # of the object


def test_an_end_behind_the_videos_is_its_end_and_a_start_there_is_said(tmp_path, shots):
    path = write_video(tmp_path / "a.mp4", shots, fps=FPS)
    clips, outcome = rows_of(path, between(28.0, 99.0))
    assert (outcome["status"], clips[-1]["clip"]["end_s"]) == ("success", pytest.approx(30.0))
    clips, outcome = rows_of(path, between(40.0, 99.0))
    assert (clips, outcome["status"], outcome["error_kind"]) == ([], "failed", "no_frames")
    assert "the range is 40 s to 99 s, and the frames end at 30.0 s" in outcome["error_message"]


def test_what_is_missing_behind_a_range_is_no_matter_of_it(tmp_path, shots):
    path = write_video(tmp_path / "a.mp4", shots, fps=FPS, muxer={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert rows_of(path)[1]["error_kind"] == "truncated"
    assert rows_of(path, between(2.0, 9.0))[1]["status"] == "success"
    assert rows_of(path, between(2.0))[1]["error_kind"] == "truncated"
    assert rows_of(path, between(29.0))[1]["status"] != "success"


def test_the_longest_video_taken_is_the_longest_range(tmp_path, shots):
    path = write_video(tmp_path / "a.mp4", shots, fps=FPS)
    assert rows_of(path, max_duration_s=10)[1]["error_kind"] == "too_long"
    assert rows_of(path, between(12.0, 21.0), max_duration_s=10)[1]["status"] == "success"
    assert rows_of(path, between(12.0), max_duration_s=10)[1]["error_kind"] == "too_long"


def test_a_plan_looks_at_the_range_alone(tmp_path, shots):
    path = write_video(tmp_path / "a.mp4", shots, fps=FPS)

    def look(asked, place=0.5):
        ref = local_ref(str(path)).within(asked)
        *clips, seen = glimpse_rows(ref, make_plan(), place)
        return clips, VideoGlimpse.of(pa.Table.from_batches([seen]))

    clips, seen = look(between(20.0, 26.0))
    assert seen.duration_s == pytest.approx(6.0)
    assert clips[-1].to_pylist()[0]["clip"]["end_s"] > 2.9
    assert look(between(33.0))[1].error_kind == "no_frames"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("", "", None),
        (None, float("nan"), None),
        ("0", "", None),
        ("1.5", "2", between(1.5, 2.0)),
        (" 1e1 ", None, between(10.0)),
        (None, 3, between(0.0, 3.0)),
    ],
)
def test_a_line_gives_a_range_or_the_whole(start, end, expected):
    assert time_range(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("-1", "", "start_s is '-1'; expected seconds"),
        ("00:01:30", "", "start_s is '00:01:30'"),
        ("1_0", "", "start_s is '1_0'"),
        ("", "inf", "end_s is 'inf'"),
        (float("inf"), None, "start_s is inf"),
        (True, None, "start_s is True"),
        (1e12, None, "start_s is 1000000000000.0"),
        ("2", "2", "2 s to 2 s; expected an end behind its beginning"),
        ("", "0", "0 s to 0 s"),
    ],
)
def test_what_is_no_range_is_said(start, end, said):
    with pytest.raises(ValueError, match=said):
        time_range(start, end)


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_a_manifest_gives_each_line_its_range_and_each_range_its_id(tmp_path, kind):
    (tmp_path / "a.mp4").write_bytes(b"x")
    path = tmp_path / f"m{kind}"
    if kind == ".csv":
        path.write_text("uri,start_s,end_s\na.mp4,1,2\na.mp4,,\na.mp4,2,\na.mp4,2,1\na.mp4,1.0,2\n")
    else:
        starts, ends = [1, None, 2, 2, 1], [2, None, None, 1, 2]
        table = {"uri": ["a.mp4"] * 5, "start_s": starts, "end_s": ends}
        pq.write_table(pa.table(table), path)
    listing = Listing([], manifests=[str(path)])
    refs = list(listing)
    assert [ref.time_range for ref in refs] == [between(1, 2), None, between(2)]  # the last: twice
    assert len({ref.video_id for ref in refs}) == 3
    whole = local_ref(str(tmp_path / "a.mp4"))
    assert refs[1] == whole
    assert refs[0].video_id == video_id(whole.uri, whole.version, start_s=1.0, end_s=2.0)
    assert "an end behind its beginning" in listing.unusable[0]


def test_each_range_has_its_own_row_and_is_done_by_itself(tmp_path, capsys):
    store = LocalStore(str(tmp_path))
    whole = make_ref("film")
    first, second = whole.within(between(0, 60.5)), whole.within(between(60.5))
    commit_videos(store, [whole, first])
    rows = connect(store).execute(
        "SELECT video_id, range_start_s, range_end_s FROM videos ORDER BY range_start_s NULLS FIRST"
    )
    assert rows.fetchall() == [(whole.video_id, None, None), (first.video_id, 0.0, 60.5)]
    assert undone(store, make_identity(), [whole, first, second]) == [second]
    from rich.console import Console

    show_dataset(store, limit=9, console=Console(width=200))
    assert "film.mp4, 0 s to 60.5 s" in capsys.readouterr().out


def test_what_could_not_be_had_of_one_range_is_past_when_that_range_is_known(tmp_path):
    store = LocalStore(str(tmp_path))
    first, second = (make_ref("film", "").within(asked) for asked in (between(0, 5), between(5)))
    commit_videos(store, [first, second], outcome=MISSING)
    came = make_ref("film").within(between(5))
    commit_videos(store, [came], run_id="later")
    rows = connect(store).execute("SELECT video_id, status FROM videos").fetchall()
    assert sorted(rows) == sorted([(first.video_id, "unavailable"), (came.video_id, "success")])


def test_a_twin_is_the_same_range_of_the_same_bytes(tmp_path):
    store = LocalStore(str(tmp_path))
    old, new = make_ref("old", "7-7"), make_ref("new", "7-7")
    commit_videos(store, [old.within(between(1, 2))], outcome={"content_digest": "d" * 64})
    asked = [None, between(1, 2), between(1), between(1, 3)]
    left = Resume(store, make_identity(), reuse_renamed=True).undone(
        [new.within(one) for one in asked]
    )
    assert [ref.twin is not None for ref in left] == [False, True, False, False]


def test_a_range_is_there_as_long_as_its_object_is(tmp_path):
    store, clock = LocalStore(str(tmp_path)), ManualClock()
    kept, gone = make_ref("kept"), make_ref("gone")
    commit_videos(store, [ref.within(between(1, 2)) for ref in (kept, gone)])

    def night(*refs):
        with open_for_index(store, run_id="night", lease_s=60, clock=clock) as session:
            seen = SeenVideos()
            list(seen.of(refs))
            note_presence(session, seen.presence(store, ["/archive/"]))
        marked = connect(store).execute(
            "SELECT uri FROM videos WHERE source_deleted_at IS NOT NULL"
        )
        return [uri for (uri,) in marked.fetchall()]

    assert night(kept) == [gone.uri]
    assert night(kept.within(between(5, 6)), gone) == []
    assert night(replace(kept, version="2-2", video_id="other"), gone) == [kept.uri]


def test_a_retry_asks_the_same_of_the_same_range(tmp_path):
    """What a manifest once said of a video is in its row alone; the file may be newer."""
    store, film = LocalStore(str(tmp_path / "root")), tmp_path / "film.mp4"
    film.write_bytes(b"x")
    whole = local_ref(str(film))
    end, middle = between(3.0), between(1.0, 2.0)
    asked = [replace(whole.within(end), prompt="Who?"), whole.within(middle), whole]
    commit_videos(store, asked, outcome={"status": "failed"})
    film.write_bytes(b"newer")
    known = ended_otherwise(connect(store), statuses=["failed"], kinds=[])
    again = {ref.video_id: (ref.time_range, ref.prompt) for ref in (_now(k, PLAIN) for k in known)}
    whole = local_ref(str(film))
    assert again == {
        whole.video_id: (None, None),
        whole.within(middle).video_id: (middle, None),
        whole.within(end).video_id: (end, "Who?"),
    }


def test_a_reference_travels_with_its_range(tmp_path):
    from pipeline.records import REF_SCHEMA, VideoRef

    refs = [make_ref("a").within(between(1, 2)), make_ref("a").within(between(3)), make_ref("a")]
    rows = pa.Table.from_pylist([asdict(ref) for ref in refs], schema=REF_SCHEMA).to_pylist()
    assert [VideoRef.from_fields(row) for row in rows] == refs
