"""The files are what their names say, or what is held against the oracle would be less than it."""

import av
import pytest
from media_matrix import HDR


@pytest.fixture
def frames_of(made_media):
    def of(name):
        # PyAV makes up presentation times that a file does not have, unless it is told not to.
        with av.open(str(made_media / name), options={"fflags": "-genpts"}) as container:
            return list(container.decode(video=0))

    return of


@pytest.mark.parametrize("name", ["odd_sides_444.mp4", "odd_sides.webm"])
def test_odd_sides_are_odd(frames_of, name):
    assert {(frame.width, frame.height) for frame in frames_of(name)} == {(127, 95)}


def test_a_size_changes_within_the_frames_that_are_looked_at(frames_of):
    sizes = [(frame.width, frame.height) for frame in frames_of("size_changes.ts")]
    assert (sizes[0], sizes[60]) == ((128, 96), (160, 160))


@pytest.mark.parametrize(
    "name", ["h264_without_times.264", "h264_of_bframes.avi", "h264_pts_missing.mpg"]
)
def test_times_are_missing(frames_of, name):
    assert any(frame.pts is None for frame in frames_of(name))


@pytest.mark.parametrize("name", ["woven_h264.ts", "woven_mpeg2.mpg"])
def test_woven_frames_say_so(frames_of, name):
    assert all(frame.interlaced_frame for frame in frames_of(name))


@pytest.mark.parametrize(
    ("name", "matrix"),
    [
        ("bt601.mp4", 6),
        ("bt709.mp4", 1),
        ("bt2020.mp4", 9),
        ("untagged_sd.mp4", 2),
        ("untagged_hd.mp4", 2),
    ],
)
def test_a_matrix_is_named_or_not(frames_of, name, matrix):
    assert {frame.colorspace for frame in frames_of(name)} == {matrix}


def test_the_rest_is_what_it_is_called(frames_of):
    assert [frames_of(name)[0].color_trc for name in HDR] == [16, 18]
    assert frames_of("h264_full_range.mp4")[0].color_range == 2
    assert frames_of("h264_10bit.mp4")[0].format.name == "yuv420p10le"
    assert frames_of("prores_422_10bit.mov")[0].format.name == "yuv422p10le"
    gaps = {b.pts - a.pts for a, b in zip(*[iter(frames_of("rate_varies.mkv"))] * 2, strict=False)}
    assert len(gaps) > 2
    assert all(frames_of(f"starts_late.{kind}")[0].time > 3 for kind in ("ts", "mp4", "mkv"))
    assert len(frames_of("edit_list.mp4")) < len(frames_of("h264_open_groups.mp4"))


def test_the_edit_list_leaves_out_packets_that_are_there(made_media, frames_of):
    with av.open(str(made_media / "edit_list.mp4")) as container:
        n_packets = sum(packet.size > 0 for packet in container.demux(video=0))
    assert n_packets > len(frames_of("edit_list.mp4"))
