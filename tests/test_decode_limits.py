"""A header that claims more than any machine has ends in a row that says so, at once."""

import struct
import zlib

import av
import pytest
from decode_helpers import make_plan, run_stage
from oracle import ffmpeg

from pipeline.boxes import iso_boxes
from pipeline.decode_stage import DecodeStage

# What a child needs to look at a header, MiB: far from what the claims would take.
MOST_MIB = 400

# A sample entry: its size, its name, and behind it the sides at this place.
SIDES_AT = 28

THIRTY_YEARS_S = 946_728_000


@pytest.fixture(scope="module")
def stage():
    stage = DecodeStage(make_plan())
    yield stage
    stage.close()


def with_sides(content, width, height):
    """A QuickTime file whose first sample entry says that its pictures have these sides."""
    changed = bytearray(content)
    entry = changed.index(b"stsd") + 12
    changed[entry + 4 + SIDES_AT : entry + 8 + SIDES_AT] = struct.pack(">HH", width, height)
    return changed


def places(content, mark):
    place = content.find(mark)
    while place >= 0:
        yield place
        place = content.find(mark, place + 1)


def claiming_png(folder, width, height):
    changed = with_sides((folder / "rgb.mov").read_bytes(), width, height)
    for place in places(changed, b"IHDR"):
        changed[place + 4 : place + 12] = struct.pack(">II", width, height)
        checksum = zlib.crc32(changed[place : place + 17])
        changed[place + 17 : place + 21] = struct.pack(">I", checksum)
    return changed


def claiming_jpeg(folder, width, height):
    changed = with_sides((folder / "mjpeg_full_range.mov").read_bytes(), width, height)
    for place in places(changed, b"\xff\xc0\x00\x11"):
        changed[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return changed


def claiming_vp9(folder, width, height):
    """Its sides stand between the bytes: half a byte behind the sync code."""
    ffmpeg("-i", "vp9.webm", "-c", "copy", "vp9.mp4", folder=folder)
    changed = with_sides((folder / "vp9.mp4").read_bytes(), width, height)
    for place in places(changed, b"\x49\x83\x42"):
        field = int.from_bytes(changed[place + 3 : place + 8])
        sides = (width - 1) << 16 | (height - 1)
        field = field >> 36 << 36 | sides << 4 | field & 0xF
        changed[place + 3 : place + 8] = field.to_bytes(5)
    return changed


CLAIMING = {"png.mov": claiming_png, "jpeg.mov": claiming_jpeg, "vp9.mp4": claiming_vp9}


def ended(stage, path):
    return run_stage(stage, path)[path.name]


def peak_mib(stage):
    with open(f"/proc/{stage._child._process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


@pytest.mark.parametrize("name", CLAIMING)
@pytest.mark.parametrize(
    ("sides", "said"),
    [((16_000, 16_000), "max_frame_pixels is 134,217,728"), ((65_535, 900), "max_side_px is 32,7")],
)
def test_frames_of_more_pixels_than_are_wanted_are_skipped_before_one_is_made(
    stage, made_media, tmp_path, name, sides, said
):
    path = tmp_path / name
    path.write_bytes(CLAIMING[name](made_media, *sides))
    outcome, rows = ended(stage, path)
    assert (outcome["status"], outcome["error_kind"], rows) == ("skipped", "too_large", [])
    assert f"of {sides[0]:,} x {sides[1]:,} px" in outcome["error_message"]
    assert said in outcome["error_message"]


@pytest.mark.parametrize("name", CLAIMING)
def test_more_pixels_than_a_decoder_can_count_take_no_memory(made_media, tmp_path, name):
    """65,535 x 65,535 are 13 GB; libav itself takes them for damage."""
    path = tmp_path / name
    path.write_bytes(CLAIMING[name](made_media, 65_535, 65_535))
    stage = DecodeStage(make_plan())
    outcome, _ = ended(stage, path)
    assert (outcome["status"], outcome["error_kind"]) == ("failed", "corrupt")
    assert peak_mib(stage) < MOST_MIB
    stage.close()


def test_a_stream_that_becomes_too_large_is_skipped(made_media):
    """From 128 x 96 to 160 x 160, which no header says."""
    stage = DecodeStage(make_plan(max_frame_pixels=20_000))
    outcome, _ = ended(stage, made_media / "size_changes.ts")
    stage.close()
    assert (outcome["status"], outcome["error_kind"]) == ("skipped", "too_large")
    assert "160 x 160 px; max_frame_pixels is 20,000" in outcome["error_message"]
    assert outcome["n_rows"] == 0


def with_tracks(path, n_tracks):
    """An mp4 of one track, which is there so often."""
    content = path.read_bytes()
    with open(path, "rb") as file:
        ((begin, end),) = [
            (begin, end) for kind, begin, end in iso_boxes(file, 0, len(content)) if kind == b"moov"
        ]
        ((track, track_end),) = [
            (begin - 8, end) for kind, begin, end in iso_boxes(file, begin, end) if kind == b"trak"
        ]
    more = content[track:track_end] * (n_tracks - 1)
    size = (end - begin + 8 + len(more)).to_bytes(4)
    return content[: begin - 8] + size + content[begin - 4 : end] + more + content[end:]


@pytest.mark.parametrize(
    ("n_tracks", "said"),
    [(257, "at least 257 streams; max_streams is 256"), (5_000, "than max_streams, 256, ")],
)
def test_files_of_more_streams_than_are_wanted_are_skipped(
    stage, made_media, tmp_path, n_tracks, said
):
    path = tmp_path / "tracks.mp4"
    path.write_bytes(with_tracks(made_media / "h264_open_groups.mp4", n_tracks))
    outcome, rows = ended(stage, path)
    assert (outcome["status"], outcome["error_kind"], rows) == ("skipped", "too_large", [])
    assert said in outcome["error_message"]


def test_files_of_as_many_streams_as_are_wanted_are_read(stage, made_media, tmp_path):
    path = tmp_path / "tracks.mp4"
    path.write_bytes(with_tracks(made_media / "h264_open_groups.mp4", 256))
    assert ended(stage, path)[0]["status"] == "success"


def lasting_by_its_header(folder, path):
    """A tick is a second, and the header names thirty years of them."""
    content = (folder / "h264_open_groups.mp4").read_bytes()
    changed = bytearray(content.replace(b"edts", b"free"))  # which would say how much is shown
    header, times = changed.index(b"mdhd"), changed.index(b"stts")
    changed[header + 16 : header + 24] = struct.pack(">II", 1, THIRTY_YEARS_S)
    changed[times + 16 : times + 20] = struct.pack(">I", THIRTY_YEARS_S // 50)
    path.write_bytes(changed)


def with_a_hole(folder, path):
    """Its last second comes thirty years after the first."""
    ticks = THIRTY_YEARS_S * 12_800
    later = f"setts=pts='PTS+gte(N,25)*{ticks}':dts='DTS+gte(N,25)*{ticks}'"
    source = str(folder / "mjpeg_full_range.mov")
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", later, path.name, folder=path.parent)


@pytest.mark.parametrize(
    ("make", "name"), [(lasting_by_its_header, "years.mp4"), (with_a_hole, "hole.mkv")]
)
def test_a_video_of_thirty_years_is_skipped(stage, made_media, tmp_path, make, name):
    make(made_media, tmp_path / name)
    outcome, _ = ended(stage, tmp_path / name)
    assert (outcome["status"], outcome["error_kind"]) == ("skipped", "too_long")
    assert "lasts at least 946,7" in outcome["error_message"]
    assert "max_duration_s is 2,592,000" in outcome["error_message"]


def test_pixels_that_are_wider_than_a_street_are_taken_as_square(stage, made_media, tmp_path):
    changed = bytearray((made_media / "wide_pixels.mp4").read_bytes())
    place = changed.index(b"pasp")
    changed[place + 4 : place + 12] = struct.pack(">II", 2**31 - 1, 1)
    (tmp_path / "wide.mp4").write_bytes(changed)
    outcome, _ = ended(stage, tmp_path / "wide.mp4")
    assert (outcome["status"], outcome["width"], outcome["height"]) == ("success", 128, 96)


@pytest.mark.parametrize("begin", [2**62 + 1, 2**63 - 1_000, 2**63 - 30, 2**64 - 1])
def test_times_at_the_end_of_all_numbers_are_no_exception(stage, made_media, tmp_path, begin):
    path = tmp_path / "far.mkv"
    with av.open(str(made_media / "h264_open_groups.mp4")) as source, av.open(path, "w") as far:
        stream = far.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts, packet.dts = packet.pts + 2**62, packet.dts + 2**62
                packet.stream = stream
                far.mux(packet)
    changed = bytearray(path.read_bytes())
    place = changed.index(b"\xe7\x88", changed.index(b"\x1f\x43\xb6\x75"))  # of the first cluster
    changed[place + 2 : place + 10] = begin.to_bytes(8)
    path.write_bytes(changed)
    outcome, _ = ended(stage, path)
    assert outcome["status"] in ("success", "partial", "skipped")
    assert outcome["n_tries"] == 1
