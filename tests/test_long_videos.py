"""Ten hours take the memory of ten minutes, however their frames are grouped."""

import struct
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from decode_helpers import make_plan, run_stage
from synthetic_media import textured_shots

from pipeline.decode_stage import DecodeStage
from pipeline.local_uri import to_uri
from pipeline.sources import local_ref
from pipeline.video_rows import video_rows

TEN_MINUTES_S, TEN_HOURS_S = 600, 36_000
FPS = 2

# Packets carry so much that says nothing, else what waits of them would not be seen.
STUFFING = bytes(2_000)

# Length to length, the rule of the project.
MOST_TIMES, MOST_MORE_MIB = 1.1, 50

# A group's keyframe and the frames behind it, from first to last.
GROUPS = {
    "twelve frames": [0] + [1] * 11,
    "all keyframes": [0],
    "one keyframe": [0] + [1] * (TEN_HOURS_S * FPS),
}


@pytest.fixture(scope="module")
def packets():
    """A keyframe and one that is made from it."""
    frames = textured_shots(np.random.default_rng(3), 1, 2, height=48, width=64)
    frames[1] = np.roll(frames[1], 2, axis=1)
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    pictures = [av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames]
    for number, picture in enumerate(pictures):
        picture.pts = number
    encoded = [bytes(packet) for one in (*pictures, None) for packet in encoder.encode(one)]
    assert len(encoded) == 2
    return encoder, [content + STUFFING for content in encoded]


def film(path, packets, group, length_s):
    """A film of that length out of groups of those two."""
    encoder, contents = packets
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.extradata = encoder.extradata
        for number in range(length_s * FPS):
            place = number % len(group)
            packet = av.Packet(contents[group[place]])
            packet.pts = packet.dts = number
            packet.duration, packet.is_keyframe = 1, place == 0
            packet.time_base, packet.stream = Fraction(1, FPS), stream
            container.mux(packet)
    return path


def every_ten_seconds():
    plan = make_plan()
    return replace(plan, segmentation=replace(plan.segmentation, sample_fps=0.1))


def looked_through(path):
    """How a video ends, and the largest memory of the child that decoded it, MiB."""
    stage = DecodeStage(every_ten_seconds())
    outcome, _ = run_stage(stage, path)[path.name]
    with open(f"/proc/{stage._child._process.pid}/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    stage.close()
    return outcome, peak


@pytest.mark.parametrize(
    ("grouped", "container"),
    [("twelve frames", "mp4"), ("all keyframes", "mkv"), ("one keyframe", "mp4")],
)
def test_ten_hours_take_the_memory_of_ten_minutes(tmp_path, packets, grouped, container):
    peaks_mib = []
    for length_s in (TEN_MINUTES_S, TEN_HOURS_S):
        path = film(tmp_path / f"film.{container}", packets, GROUPS[grouped], length_s)
        outcome, peak_mib = looked_through(path)
        assert (outcome["status"], outcome["duration_s"]) == ("success", length_s)
        assert outcome["n_frames_sampled"] == length_s / 10
        peaks_mib.append(peak_mib)
    assert peaks_mib[1] < MOST_TIMES * peaks_mib[0] + MOST_MORE_MIB


def test_the_first_clip_comes_long_before_the_film_is_read(tmp_path, packets):
    """Whoever waits for it would wait for hours; beats are packets and frames."""
    path = film(tmp_path / "film.mkv", packets, GROUPS["one keyframe"], TEN_HOURS_S)
    beats = []
    rows = video_rows(
        local_ref(to_uri(str(path))), "a", every_ten_seconds(), lambda: beats.append(1)
    )
    assert next(rows)["kind"][0].as_py() == "clip"
    rows.close()
    assert len(beats) < TEN_HOURS_S * FPS / 10


# Samples of one file, each of which is said to be the same bytes: a slice, and a NAL unit behind it
# that only fills (ITU-T H.264, 7.3.2.7).
N_SAMPLES, SAMPLE_BYTES = 24, 24 << 20
FILLER = b"\x0c"

# What a decoder holds of such samples at once, and the child itself.
MOST_MIB = 350

WAY_TO_SAMPLES = (b"moov", b"trak", b"mdia", b"minf")


def box(kind, *content):
    joined = b"".join(content)
    return struct.pack(">I", len(joined) + 8) + kind + joined


def boxes_of(content):
    while content:
        size = int.from_bytes(content[:4])
        yield content[4:8], content[8:size]
        content = content[size:]


def table(*fields):
    """A box's version and flags, and numbers of 32 bits."""
    return struct.pack(f">{len(fields) + 1}I", 0, *fields)


def with_samples(content, place):
    """Boxes of an mp4, whose samples all lie at one place."""
    for kind, inner in boxes_of(content):
        if kind in WAY_TO_SAMPLES:
            yield box(kind, *with_samples(inner, place))
        elif kind == b"stbl":
            yield box(
                kind,
                *(box(kind, inner) for kind, inner in boxes_of(inner) if kind == b"stsd"),
                box(b"stts", table(1, N_SAMPLES, 512)),
                box(b"stss", table(1, 1)),
                box(b"stsc", table(1, 1, 1, 1)),
                box(b"stsz", table(SAMPLE_BYTES, N_SAMPLES)),
                box(b"stco", table(N_SAMPLES, *[place] * N_SAMPLES)),
            )
        elif kind != b"edts":
            yield box(kind, inner)


def test_packets_that_are_huge_are_not_gathered(made_media, tmp_path):
    """A file of 24 MiB whose packets are 576: while they wait to be shown they are in memory."""
    source = made_media / "h264_open_groups.mp4"
    with av.open(str(source)) as container:
        picture = bytes(next(container.demux(video=0)))
    filler = FILLER + bytes(SAMPLE_BYTES - len(picture) - 5)
    top = dict(boxes_of(source.read_bytes()))
    head = box(b"ftyp", top[b"ftyp"])
    samples = box(b"mdat", picture, struct.pack(">I", len(filler)), filler)
    (movie,) = with_samples(box(b"moov", top[b"moov"]), len(head) + 8)
    path = tmp_path / "huge.mp4"
    path.write_bytes(head + samples + movie)
    outcome, peak_mib = looked_through(path)
    assert (outcome["status"], outcome["duration_s"]) == ("success", N_SAMPLES / 25)
    assert peak_mib < MOST_MIB
