import numpy as np
import pytest
from synthetic_media import grey_frames, write_video

from pipeline.container import open_video
from pipeline.decode import DecodeReport, timed_frames

LEVELS = [20, 60, 100, 140, 180, 220, 40, 80, 120, 160]


def decode(path):
    report = DecodeReport()
    with open(path, "rb") as file, open_video(file, threads=1) as video:
        frames = [
            (
                f.pts * video.time_base,
                f.end_pts * video.time_base,
                f.image.to_ndarray(format="gray"),
            )
            for f in timed_frames(video, report)
        ]
    return frames, report


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("h264_b.mp4", "libx264", {"bf": "3", "g": "5"}),
        ("h264.mkv", "libx264", {"bf": "0"}),
        ("mpeg4.mov", "mpeg4", {}),
        ("mjpeg.avi", "mjpeg", {}),
        ("vp9.webm", "libvpx-vp9", {}),
    ],
)
def test_frames_come_in_presentation_order_and_tile_the_time(tmp_path, name, codec, options):
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(
        tmp_path / name,
        grey_frames(LEVELS),
        codec=codec,
        options=options,
        pixel_format=pixel_format,
    )
    frames, report = decode(path)
    assert [float(frame.mean()) for *_, frame in frames] == pytest.approx(LEVELS, abs=4)
    assert [start for start, *_ in frames[1:]] == [end for _, end, _ in frames[:-1]]
    assert float(frames[-1][1] - frames[0][0]) == pytest.approx(1.0, abs=0.11)
    assert (report.n_frames, report.n_failures, report.synthesised) == (10, 0, False)


def test_a_variable_rate_keeps_its_times(tmp_path):
    times_ms = [0, 40, 200, 210, 900, 1000, 2500, 2540, 2600, 4000]
    path = write_video(tmp_path / "vfr.mkv", grey_frames(LEVELS), times_ms=times_ms)
    frames, _ = decode(path)
    assert [float(start) for start, *_ in frames] == pytest.approx(np.array(times_ms) / 1000)


def test_a_start_above_zero_is_kept(tmp_path):
    times_ms = [5000 + 100 * index for index in range(10)]
    frames, report = decode(
        write_video(tmp_path / "late.mkv", grey_frames(LEVELS), times_ms=times_ms)
    )
    assert float(frames[0][0]) == pytest.approx(5.0)
    assert report.first_pts == 5000


def test_a_raw_stream_without_timestamps_gets_them_made_up(tmp_path):
    path = write_video(tmp_path / "raw.h264", grey_frames(LEVELS), options={"bf": "0"})
    frames, report = decode(path)
    assert report.synthesised
    assert len(frames) == 10
    assert all(start < end for start, end, _ in frames)


def test_a_single_frame_is_a_video(tmp_path):
    frames, report = decode(write_video(tmp_path / "one.mp4", grey_frames([90])))
    assert report.n_frames == 1
    assert frames[0][0] < frames[0][1]


def test_what_lies_behind_a_hole_in_a_recording_is_found(made_media, tmp_path):
    """A receiver loses its signal: the container loses its place, and lacks no memory for it."""
    content = (made_media / "h264_open_groups.ts").read_bytes()
    whole, _ = decode(made_media / "h264_open_groups.ts")
    place = 188 * (len(content) // 188 // 2)
    path = tmp_path / "hole.ts"
    path.write_bytes(content[:place] + bytes(200_000) + content[place:])
    frames, report = decode(path)
    assert len(whole) - 2 <= len(frames) <= len(whole)
    assert report.n_failures > 0
    assert report.n_refused == 0
