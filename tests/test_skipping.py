"""Frames that nobody needs are not decoded, and nothing comes out otherwise for it."""

import hashlib
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from decode_helpers import make_plan
from media_matrix import MADE as MATRIX
from synthetic_media import textured_shots, write_video

from pipeline import sampled_frames as sampling
from pipeline.container import open_video
from pipeline.decode import DecodeReport, timed_frames
from pipeline.sampled_frames import sampled_frames
from pipeline.sampling import InstantSampler
from pipeline.settings import PackingSettings
from pipeline.skipping import SkippingDecoder
from pipeline.sources import local_ref
from pipeline.time_ranges import TimeRange
from pipeline.timetable import Untrue
from pipeline.video_rows import video_rows

RATES = (0.5, 2, 8)

# Of a long film the beginning will do.
MOST_S = 4

X264, X265 = {"preset": "veryfast", "crf": "20"}, {"preset": "ultrafast", "x265-params": ""}
MADE = {
    "pyramid.mp4": ("libx264", X264 | {"g": "25", "bf": "3"}),
    "pyramid.mkv": ("libx264", X264 | {"g": "25", "bf": "3"}),
    "pyramid.ts": ("libx264", X264 | {"g": "25", "bf": "3"}),
    "open.mp4": ("libx264", X264 | {"g": "20", "bf": "3", "x264-params": "open-gop=1"}),
    "low_delay.mp4": ("libx264", X264 | {"g": "250", "tune": "zerolatency"}),
    "short.mov": ("libx264", X264 | {"g": "2", "bf": "1"}),
    "refresh.mp4": ("libx264", X264 | {"x264-params": "intra-refresh=1:keyint=20", "bf": "0"}),
    "x265.mp4": ("libx265", X265 | {"g": "25", "bf": "3"}),
    "x265.mkv": ("libx265", X265 | {"g": "25", "bf": "3", "x265-params": "open-gop=1"}),
    "layers.mp4": ("libx265", X265 | {"g": "25", "x265-params": "temporal-layers=1"}),
    "vp8.webm": ("libvpx", {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "12"}),
    "vp9.webm": ("libvpx-vp9", {"g": "30", "cpu-used": "8", "deadline": "realtime"}),
    "av1.mkv": ("libsvtav1", {"g": "30", "preset": "12"}),
    "part2.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "part2.mp4": ("mpeg4", {"g": "12", "bf": "2"}),
    "mpeg2.mpg": ("mpeg2video", {"g": "12", "bf": "2"}),
    "mpeg2.mkv": ("mpeg2video", {"g": "12", "bf": "2"}),
    "pictures.mov": ("mjpeg", {}),
}

# Where packets do not say when each frame is shown; where what is called a keyframe is none.
MAY_BE_PLAIN = {"mpeg2.mpg", "part2.avi", "refresh.mp4"}


@pytest.fixture(scope="module")
def shots():
    """Eight seconds of shots that move."""
    frames = textured_shots(np.random.default_rng(1), 4, 50, height=64, width=96)
    return np.stack([np.roll(frame, 2 * number, axis=1) for number, frame in enumerate(frames)])


@pytest.fixture(scope="module", params=sorted(MADE))
def video(request, shots, tmp_path_factory):
    return make(tmp_path_factory.mktemp("made"), request.param, shots)


def make(folder, name, shots):
    codec, options = MADE[name]
    how = {"time_base": Fraction(1, 25)} if codec == "mpeg2video" else {}
    how |= {"pixel_format": "yuvj420p"} if codec == "mjpeg" else {}
    return write_video(folder / name, shots, codec=codec, options=options, fps=25, **how)


def depth_bytes(image):
    """Bytes of a number in a plane."""
    return -(-max(component.bits for component in image.format.components) // 8)


def looked_at(path, *, sample_fps=None, may_skip=False, end_s=None):
    """Times and content of the sampled frames (of all, without a rate), and the report."""
    report = DecodeReport()
    with open(path, "rb") as file, open_video(file, threads=1) as opened:
        asked = end_s and TimeRange(start_s=0.0, end_s=end_s)
        sampler = InstantSampler(
            sample_fps=sample_fps or 1000,
            time_base=opened.time_base,
            bounds=asked and partial(asked.bounds, time_base=opened.time_base),
        )
        if sample_fps is None:
            frames = timed_frames(opened, report)
        else:
            frames = sampled_frames(opened, sampler, report, may_skip=may_skip)
        taken = []
        for frame in frames:
            digest = hashlib.md5()
            for plane in frame.image.planes:  # lines have ends that mean nothing
                lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                digest.update(lines[:, : plane.width * depth_bytes(frame.image)].tobytes())
            taken.append((frame.pts, frame.end_pts, digest.hexdigest()))
            if asked and (frame.end_pts - report.first_pts) * opened.time_base > end_s + 2:
                break
    return taken, report, opened


def wanted(whole, report, opened, sample_fps, end_s=None):
    """What the plain way samples, by its definition."""
    sampler = InstantSampler(sample_fps=sample_fps, time_base=opened.time_base)
    sampled = [frame for frame in whole if sampler.holds_instant(*frame[:2])]
    if end_s is None:
        return sampled
    return [one for one in sampled if (one[0] - report.first_pts) * opened.time_base < end_s]


@pytest.mark.parametrize("sample_fps", [*RATES, 1000])
def test_samples_are_the_same_to_the_bit(video, sample_fps):
    whole, plain, opened = looked_at(video)
    expected = wanted(whole, plain, opened, sample_fps)
    assert looked_at(video, sample_fps=sample_fps)[0] == expected
    try:
        found, report, _ = looked_at(video, sample_fps=sample_fps, may_skip=True)
    except Untrue:
        assert video.name in MAY_BE_PLAIN
        return
    assert found == expected
    assert (report.first_pts, report.end_pts) == (plain.first_pts, plain.end_pts)
    assert (report.n_failures, report.n_corrupt, report.synthesised) == (0, 0, False)
    assert len(found) <= report.n_frames <= plain.n_frames


def test_every_file_of_the_matrix_gives_the_same_samples_either_way(made_media):
    plainly = set()
    for name in MATRIX:
        whole, plain, opened = looked_at(made_media / name)
        for sample_fps in RATES:
            try:
                found, *_ = looked_at(made_media / name, sample_fps=sample_fps, may_skip=True)
            except Untrue:
                plainly.add(name)
                break
            assert found == wanted(whole, plain, opened, sample_fps), name
    assert len(plainly) < len(MATRIX) / 4, plainly


def test_every_real_video_gives_the_same_samples_either_way(test_data):
    skipped_in = []
    for path in sorted((test_data / "videos").iterdir()):
        if path.suffix in (".json", ".tsv"):
            continue
        whole, plain, opened = looked_at(path, end_s=MOST_S)
        for sample_fps in RATES:
            try:
                found, *_ = looked_at(path, sample_fps=sample_fps, may_skip=True, end_s=MOST_S)
            except Untrue:
                break
            assert found == wanted(whole, plain, opened, sample_fps, MOST_S), path.name
        else:
            skipped_in.append(path)
    assert len(skipped_in) > 40  # not where fields come alone, or nothing has a time


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("pyramid.mp4", 0.6),
        ("x265.mp4", 0.75),
        ("mpeg2.mkv", 0.5),
        ("part2.mp4", 0.5),
        ("short.mov", 0.2),
        ("pictures.mov", 0.1),
    ],
)
def test_what_nobody_needs_is_not_decoded(tmp_path, shots, name, most):
    """B-frames that no other is made from; all but a group's first; all but the samples."""
    path = make(tmp_path, name, shots)
    _, report, _ = looked_at(path, sample_fps=2, may_skip=True)
    assert report.n_frames <= most * len(shots)


def rows_of(path):
    plan = make_plan()
    *clips, last = (batch.to_pylist()[0] for batch in video_rows(local_ref(str(path)), "a", plan))
    ignored = ("decode_busy_s", "decode_cpu_s")
    kept = [{name: row[name] for name in row if name not in ignored} for row in clips]
    return kept, last["outcome"]


def test_a_damaged_video_gives_what_the_plain_way_gives(tmp_path, shots, rng, monkeypatch):
    """Wherever the damage lies; in frames that nobody needs it is not noticed, and does no harm."""
    options = X264 | {"g": "25", "bf": "3"}
    path = write_video(tmp_path / "whole.mp4", shots, options=options, fps=25)
    content, n_noticed = path.read_bytes(), 0
    undamaged = [row["clip"] for row in rows_of(path)[0]]
    for number in range(24):
        damaged = bytearray(content)
        for place in rng.integers(len(content) // 20, len(content) * 19 // 20, 1 + number % 4):
            damaged[place] ^= 1 << int(rng.integers(8))
        if number % 6 == 5:
            damaged = damaged[: int(rng.integers(len(content) // 3, len(content)))]
        copy = tmp_path / f"{number}.mp4"
        copy.write_bytes(damaged)
        skipped, outcome = rows_of(copy)
        with monkeypatch.context() as patched:
            patched.setattr(sampling, "SKIPPABLE_CODECS", frozenset())
            plain, expected = rows_of(copy)
        if skipped != plain:  # where a frame seems to be shown at another's time
            assert expected["timestamps_synthesised"]
            assert not outcome["timestamps_synthesised"]
            assert [row["clip"] for row in skipped] == undamaged
        elif outcome["status"] == "success" != expected["status"]:
            assert (expected["status"], expected["error_kind"]) == ("partial", "corrupt")
        else:
            assert outcome["status"] == expected["status"]
            assert outcome["error_kind"] == expected["error_kind"]
            n_noticed += outcome["status"] == "partial"
    assert n_noticed > 5


class Deceived(SkippingDecoder):
    """Shows the first frame in place of the fifth, and finds out much later that it cannot skip."""

    def frames(self):
        first = None
        for number, frame in enumerate(super().frames()):
            first = first or frame
            yield replace(frame, image=first.image) if number == 4 else frame
            if number == 14:
                raise Untrue("a frame did not come out")


@pytest.mark.parametrize("decoder", [Deceived, SkippingDecoder])
def test_clips_that_were_given_and_prove_to_be_others_belong_to_no_whole(
    tmp_path, rng, monkeypatch, decoder
):
    """As damage makes them: clips of two ways in one execution neither tile nor add up."""
    still = textured_shots(rng, 4, 50)
    path = write_video(tmp_path / "video.mp4", still, options=X264 | {"g": "25"}, fps=25)
    monkeypatch.setattr(sampling, "SkippingDecoder", decoder)
    plan = replace(make_plan(), packing=PackingSettings(clip_s=2.0))
    rows = [
        row for batch in video_rows(local_ref(str(path)), "a", plan) for row in batch.to_pylist()
    ]
    *clips, last = [row for row in rows if row["attempt"] == rows[-1]["attempt"]]
    assert (len(clips) < len(rows) - 1) == (decoder is Deceived)
    assert [row["row_index"] for row in clips] == list(range(last["outcome"]["n_rows"]))
    edges = [(row["clip"]["start_pts"], row["clip"]["end_pts"]) for row in clips]
    assert all(end == start for (_, end), (start, _) in pairwise(edges))
    assert last["outcome"]["n_scenes"] == sum(len(row["scenes"]) for row in clips)
    assert rows[0]["attempt"] == "a"
