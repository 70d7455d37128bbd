import dataclasses
import hashlib
import io
import os
from unittest.mock import Mock

import av
import numpy as np
import pytest
from decode_helpers import make_plan
from PIL import Image
from synthetic_media import (
    grey_frames,
    textured_shots,
    write_audio_only,
    write_video,
    write_with_sound,
)

from pipeline.local_uri import to_uri
from pipeline.source_file import open_source
from pipeline.sources import local_ref
from pipeline.video_rows import video_rows


def ref_of(path):
    return local_ref(to_uri(str(path)))


def rows_of(path, plan=None):
    batches = video_rows(local_ref(to_uri(str(path))), "attempt", plan or make_plan())
    rows = [row for batch in batches for row in batch.to_pylist()]
    return rows[:-1], rows[-1]["outcome"]


@pytest.fixture
def shots(tmp_path, rng):
    """Three shots of four seconds, cuts at 4 s and 8 s."""
    return write_video(tmp_path / "shots.mp4", textured_shots(rng, 3, 40), options={"crf": "1"})


def test_scenes_and_clips_tile_the_video_from_its_first_frame_to_its_end(shots):
    clips, outcome = rows_of(shots)
    scenes = [scene for row in clips for scene in row["scenes"]]
    for pieces in (scenes, [row["clip"] for row in clips]):
        for unit in ("pts", "s"):
            starts = [piece[f"start_{unit}"] for piece in pieces]
            ends = [piece[f"end_{unit}"] for piece in pieces]
            assert starts[0] == 0
            assert starts[1:] == ends[:-1]
        assert pieces[-1]["end_s"] == pytest.approx(outcome["duration_s"]) == pytest.approx(12.0)


def test_cuts_start_scenes_and_clips_and_still_shots_are_one_scene(shots):
    clips, _ = rows_of(shots)
    assert [row["clip"]["start_s"] for row in clips] == pytest.approx([0.0, 4.0, 8.0])
    assert [row["clip"]["boundary"] for row in clips] == ["start", "cut", "cut"]
    assert [len(row["scenes"]) for row in clips] == [1, 1, 1]
    assert [row["scenes"][0]["n_frames"] for row in clips] == [8, 8, 8]


def test_the_outcome_counts_what_the_rows_hold(shots):
    clips, outcome = rows_of(shots)
    assert outcome["status"] == "success"
    assert outcome["n_rows"] == outcome["n_clips"] == len(clips)
    assert outcome["n_scenes"] == sum(row["clip"]["n_scenes"] for row in clips)
    assert outcome["n_frames_sampled"] == sum(row["clip"]["n_frames"] for row in clips) == 24
    assert 24 < outcome["n_frames_decoded"] < 120  # nobody needs the last ones
    tokens = sum(row["clip"]["n_visual_tokens"] for row in clips)
    assert outcome["n_visual_tokens"] == tokens
    assert (outcome["width"], outcome["height"], outcome["codec"]) == (96, 72, "h264")
    assert outcome["content_digest"] == hashlib.sha256(shots.read_bytes()).hexdigest()


def test_pixels_travel_once_and_long_scenes_as_virtual_frames(shots):
    """Eight frames of a still scene travel as two."""
    (row, *_), _ = rows_of(shots)
    assert row["runs"] == [{"n_stored": 2, "dtype": "float16"}]
    assert len(row["pixels"]) == 2 * row["frame_height"] * row["frame_width"] * 3 * 2


def test_the_stored_pixels_are_the_pictures(tmp_path):
    path = write_video(tmp_path / "grey.mp4", grey_frames([50] * 10 + [200] * 10))
    (row,), _ = rows_of(path)
    offset = 0
    for run, level in zip(row["runs"], (50, 200), strict=True):
        dtype = np.dtype(run["dtype"])
        count = run["n_stored"] * row["frame_height"] * row["frame_width"] * 3
        frames = np.frombuffer(row["pixels"], dtype, count, offset)
        assert frames.astype(float).mean() == pytest.approx(level, abs=3)
        offset += frames.nbytes
    assert offset == len(row["pixels"])


def test_each_clip_shows_its_first_frame(shots):
    clips, _ = rows_of(shots)
    for row, level in zip(clips, (190, 60, 190), strict=True):
        thumbnail = row["thumbnail"]
        image = Image.open(io.BytesIO(thumbnail["jpeg"]))
        assert image.size == (thumbnail["width"], thumbnail["height"])
        assert np.asarray(image).mean() == pytest.approx(level, abs=10)


def test_thumbnails_may_be_switched_off(shots):
    clips, _ = rows_of(shots, make_plan(thumbnails=False))
    assert all(row["thumbnail"] is None for row in clips)


def test_two_executions_give_the_same_rows(shots):
    """Blocks of two executions may be spliced; what is not torn must be equal."""
    timeless = [
        [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows_of(shots)[0]]
        for _ in range(2)
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize(
    ("limits", "kind"), [({"max_duration_s": 3.0}, "too_long"), ({"max_size_mib": 1}, "too_large")]
)
def test_what_the_settings_exclude_is_skipped(shots, tmp_path, limits, kind):
    padded = tmp_path / "padded.mp4"
    padded.write_bytes(shots.read_bytes() + bytes(2**20))
    clips, outcome = rows_of(padded, make_plan(**limits))
    assert (outcome["status"], outcome["error_kind"]) == ("skipped", kind)
    assert outcome["n_rows"] == outcome["n_clips"] == len(clips) == 0


def change(path):
    path.write_bytes(path.read_bytes() + b"more")


@pytest.mark.parametrize(
    ("harm", "kind"),
    [(os.remove, "source_missing"), (change, "source_changed")],
)
def test_a_source_that_changed_since_it_was_listed_is_unavailable(shots, harm, kind):
    ref = local_ref(to_uri(str(shots)))
    harm(shots)
    (row,) = [r for batch in video_rows(ref, "a", make_plan()) for r in batch.to_pylist()]
    assert (row["outcome"]["status"], row["outcome"]["error_kind"]) == ("unavailable", kind)


@pytest.mark.parametrize("beats", [0, 1])
def test_a_disk_that_fails_under_way_is_no_fault_of_the_video(shots, monkeypatch, beats):
    """One bad sector must not stop the run, nor mark the video for ever."""
    files, left = [], [beats]

    def opened(*arguments, **options):
        files.append(open_source(*arguments, **options))
        fail_if_due()
        return files[0]

    def fail_if_due():
        if not left[0]:  # a folder in the file's place: every read of it fails
            folder = os.open(shots.parent, os.O_RDONLY)
            os.dup2(folder, files[0].fileno())
            os.close(folder)
        left[0] -= 1

    monkeypatch.setattr("pipeline.whole_source.open_source", opened)
    (row,) = [
        row
        for batch in video_rows(ref_of(shots), "a", make_plan(), fail_if_due)
        for row in batch.to_pylist()
    ]
    outcome = row["outcome"]
    assert (outcome["status"], outcome["error_kind"]) == ("unavailable", "source_unavailable")
    assert "directory" in outcome["error_message"]


def test_a_source_that_changes_while_it_is_read_is_unavailable(shots):
    """Its rows would be of neither version."""
    batches = video_rows(ref_of(shots), "a", make_plan())
    next(batches)
    change(shots)
    *_, last = batches
    (row,) = last.to_pylist()
    assert (row["outcome"]["error_kind"], row["outcome"]["n_rows"]) == ("source_changed", 0)


def test_a_pixel_format_that_cannot_be_converted_is_unsupported(shots, monkeypatch):
    def refuse(*arguments, **options):
        raise av.error.ArgumentError(22, "Invalid argument")

    monkeypatch.setattr("pipeline.colour.VideoReformatter", lambda: Mock(reformat=refuse))
    _, outcome = rows_of(shots)
    assert (outcome["status"], outcome["error_kind"]) == ("failed", "unsupported_codec")
    assert "yuv420p" in outcome["error_message"]


def test_a_folder_where_a_file_was_is_unavailable(shots):
    ref = local_ref(to_uri(str(shots)))
    shots.unlink()
    shots.mkdir()
    (row,) = [r for batch in video_rows(ref, "a", make_plan()) for r in batch.to_pylist()]
    assert row["outcome"]["status"] == "unavailable"


def test_a_pipe_is_no_video_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    _, outcome = rows_of(tmp_path / "a.mp4")
    assert (outcome["status"], outcome["error_kind"]) == ("failed", "not_a_video")


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
CONCATENATION = "ffconcat version 1.0\nfile {}\n"


@pytest.mark.parametrize("script", [PLAYLIST, CONCATENATION])
def test_a_file_that_names_other_files_is_no_video(shots, tmp_path, script):
    """Else an upload could read any file of the worker."""
    (tmp_path / "innocent.mp4").write_text(script.format(shots.name))
    _, outcome = rows_of(tmp_path / "innocent.mp4")
    assert (outcome["status"], outcome["error_kind"]) == ("failed", "not_a_video")


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "two\nlines.mp4", "concat:a|b.mp4", "http:%2f%2fx.mp4", "%d.mp4"]
)
def test_a_name_is_a_name_whatever_it_looks_like(shots, tmp_path, name):
    shots.rename(tmp_path / name)
    assert rows_of(tmp_path / name)[1]["status"] == "success"


def test_a_name_that_is_not_utf8_is_indexed(shots, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"latin-\xe5.mp4")
    os.rename(shots, path)
    ref = local_ref(to_uri(os.fsdecode(path)))
    *_, last = video_rows(ref, "a", make_plan())
    assert last.to_pylist()[0]["outcome"]["status"] == "success"


def test_sound_alone_has_no_video_stream(tmp_path):
    _, outcome = rows_of(write_audio_only(tmp_path / "sound.mp4"))
    assert (outcome["status"], outcome["error_kind"]) == ("failed", "no_video_stream")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_gives_the_part_that_is_there(tmp_path, rng, share):
    whole = write_video(tmp_path / "whole.mkv", textured_shots(rng, 6, 20))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    clips, outcome = rows_of(cut)
    assert outcome["status"] in ("partial", "failed", "success")
    assert outcome["n_frames_decoded"] < 120 or outcome["status"] == "success"
    ends = [row["clip"]["end_s"] for row in clips]
    assert ends == sorted(ends)


@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mpeg4"), ("a.flv", "flv1"), ("a.wmv", "wmv2")]
)
def test_an_interrupted_download_is_no_success(tmp_path, rng, name, codec, share):
    """What old containers say of their length stands in front, in a way of each one's own."""
    whole = write_video(tmp_path / name, textured_shots(rng, 12, 25), fps=25, codec=codec)
    assert rows_of(whole)[1]["status"] == "success"
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    _, outcome = rows_of(cut)
    assert outcome["status"] == "partial"
    assert outcome["error_kind"] in ("truncated", "corrupt")


SOUNDS = {"a.avi": ("mpeg4", "pcm_s16le"), "a.flv": ("flv1", "aac"), "a.wmv": ("wmv2", "wmav2")}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_that_lasts_longer_than_the_pictures_makes_no_file_truncated(tmp_path, rng, name):
    """Some containers give one length for all streams, or guess."""
    codec, sound_codec = SOUNDS[name]
    frames = textured_shots(rng, 3, 50)
    path = write_with_sound(
        tmp_path / name, frames, codec=codec, sound_codec=sound_codec, sound_s=15.0
    )
    outcome = rows_of(path)[1]
    assert outcome["status"] == "success"
    assert outcome["duration_s"] == pytest.approx(len(frames) / 25)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_size_that_a_writer_could_not_go_back_to_says_nothing(tmp_path, rng, size):
    """As when it writes into a pipe."""
    path = write_video(tmp_path / "a.avi", textured_shots(rng, 2, 25), fps=25, codec="mpeg4")
    content = bytearray(path.read_bytes())
    content[4:8] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert rows_of(path)[1]["status"] == "success"


def test_an_index_that_points_before_the_file_costs_no_frame(tmp_path, rng):
    """A demuxer that asks for such a place is answered, and goes on with what is there."""
    whole = write_video(tmp_path / "a.nut", textured_shots(rng, 6, 20), codec="ffv1")
    cut = tmp_path / "cut.nut"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _, outcome = rows_of(cut)
    assert outcome["status"] == "partial"
    assert outcome["n_frames_decoded"] > 30


@pytest.mark.parametrize(("name", "flags"), [("a.mp4", "faststart"), ("a.mkv", None)])
def test_a_file_that_lacks_its_last_bytes_is_no_success(tmp_path, rng, name, flags):
    """A few frames short, well within what headers round: only the boxes tell."""
    options = {"movflags": flags} if flags else {}
    whole = write_video(tmp_path / f"whole_{name}", textured_shots(rng, 2, 20), muxer=options)
    assert rows_of(whole)[1]["status"] == "success"
    cut = tmp_path / name
    cut.write_bytes(whole.read_bytes()[:-2000])
    _, outcome = rows_of(cut)
    assert outcome["status"] == "partial"
    assert outcome["error_kind"] in ("truncated", "corrupt")


def test_a_recording_that_is_still_ciphertext_inside_is_encrypted(test_data, monkeypatch):
    """No header says so in some archives; a caption of noise would be a lie."""
    monkeypatch.setattr("pipeline.container.is_encrypted", lambda file: False)
    _, outcome = rows_of(test_data / "damaged" / "encrypted_cenc_looks_ok.mp4")
    assert (outcome["status"], outcome["error_kind"]) == ("failed", "encrypted")
    assert outcome["n_rows"] == 0


def test_random_bytes_inside_a_video_never_raise(tmp_path, rng):
    whole = write_video(tmp_path / "whole.mp4", textured_shots(rng, 2, 20)).read_bytes()
    for number in range(30):
        broken = bytearray(whole)
        for place in rng.integers(0, len(broken), 40):
            broken[place] = int(rng.integers(256))
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(broken)
        _, outcome = rows_of(path)
        assert outcome["status"] in ("success", "partial", "failed", "skipped")  # a time of months
        assert (outcome["status"] == "success") == (outcome["error_kind"] is None)


def test_another_model_size_changes_no_scene(shots):
    """A new model re-captions the same scenes."""
    plan = make_plan()
    larger = dataclasses.replace(plan, spec=dataclasses.replace(plan.spec, max_pixels=448 * 448))
    small, large = (
        [[scene["start_pts"] for scene in row["scenes"]] for row in rows_of(shots, p)[0]]
        for p in (plan, larger)
    )
    assert small == large


@pytest.mark.parametrize(
    ("name", "known", "unknown"),
    [("a.mkv", b"V_MPEG4/ISO/AVC", b"V_OTHER/ISO/AVC"), ("a.mp4", b"avc1", b"zzzz")],
)
def test_a_codec_that_nobody_knows_is_unsupported(tmp_path, rng, name, known, unknown):
    path = write_video(tmp_path / name, textured_shots(rng, 1, 5))
    path.write_bytes(path.read_bytes().replace(known, unknown))
    _, outcome = rows_of(path)
    assert (outcome["status"], outcome["error_kind"]) == ("failed", "unsupported_codec")


def test_metadata_that_is_not_utf8_is_no_fault(tmp_path, rng):
    path = write_video(tmp_path / "a.mp4", textured_shots(rng, 1, 5), title="QQQQQQQQ")
    content = path.read_bytes()
    assert b"QQQQQQQQ" in content
    path.write_bytes(content.replace(b"QQQQQQQQ", b"\xff\xfe\xe5\x80QQQQ"))
    assert rows_of(path)[1]["status"] == "success"


@pytest.mark.parametrize("content", [bytes(100_000), b"1\n00:00:00,000 --> 00:00:01,000\nhi\n"])
def test_bytes_that_are_no_video_are_none(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    _, outcome = rows_of(tmp_path / "a.mp4")
    assert (outcome["status"], outcome["error_kind"]) in (
        ("failed", "not_a_video"),
        ("failed", "no_video_stream"),
    )


@pytest.mark.parametrize(("height", "width"), [(2, 2), (3000, 16), (16, 3000)])
def test_extreme_shapes_are_indexed(tmp_path, height, width):
    path = write_video(tmp_path / "a.mp4", np.full((5, height, width, 3), 90, np.uint8))
    assert rows_of(path)[1]["status"] == "success"
