"""Even pictures, whose colours the textbook gives."""

from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, VideoReformatter

from pipeline.colour import SCALING, RgbScaler
from pipeline.tone_mapping import PQ, sdr_of

# Kr and Kb of each matrix.
BT601, BT709, BT2020, FCC = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593), (0.30, 0.11)
UNNAMED, RESERVED = 2, 3
ITU709, SDR = 1, 1
YUV = (110, 90, 170)


def even_frame(width, height, colours, *, colour_range=ColorRange.MPEG):
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, YUV, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = colours, colour_range
    return frame


def textbook_rgb(kr, kb, *, is_full=False):
    y, u, v = np.array(YUV, float) - (0 if is_full else 16, 128, 128)
    luma, chroma = (1, 1) if is_full else (255 / 219, 255 / 224)
    red = luma * y + chroma * 2 * (1 - kr) * v
    blue = luma * y + chroma * 2 * (1 - kb) * u
    return red, (luma * y - kr * red - kb * blue) / (1 - kr - kb), blue


def colour_of(frame):
    picture = RgbScaler().scale(frame, 28, 56)
    assert picture.shape == (28, 56, 3)
    assert np.ptp(picture.reshape(-1, 3).astype(int), axis=0).max() <= 1
    return picture[14, 28]


@pytest.mark.parametrize(
    ("named", "expected"), [(1, BT709), (4, FCC), (5, BT601), (6, BT601), (9, BT2020)]
)
def test_a_matrix_that_is_named_holds_whatever_the_size(named, expected):
    for size in ((64, 48), (1920, 1080)):
        assert colour_of(even_frame(*size, named)) == pytest.approx(textbook_rgb(*expected), abs=1)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((720, 480), BT601),
        ((720, 576), BT601),
        ((1278, 576), BT601),
        ((1280, 576), BT709),
        ((720, 578), BT709),
        ((720, 1280), BT709),
    ],
)
@pytest.mark.parametrize("unsaid", [UNNAMED, RESERVED])
def test_a_matrix_that_is_not_named_is_guessed_as_players_do(size, expected, unsaid):
    assert colour_of(even_frame(*size, unsaid)) == pytest.approx(textbook_rgb(*expected), abs=1)


def test_the_range_is_the_narrow_one_unless_the_frame_says_otherwise():
    full = even_frame(64, 48, 1, colour_range=ColorRange.JPEG)
    unsaid = even_frame(64, 48, 1, colour_range=ColorRange.UNSPECIFIED)
    assert colour_of(full) == pytest.approx(textbook_rgb(*BT709, is_full=True), abs=1)
    assert colour_of(unsaid) == pytest.approx(textbook_rgb(*BT709), abs=1)


def test_scaling_leaves_the_frame_as_it_was():
    """It is scaled again, to another size."""
    frame = even_frame(720, 1280, UNNAMED)
    frame.pts, frame.time_base = 7, Fraction(1, 25)
    RgbScaler().scale(frame, 28, 56)
    assert (frame.colorspace, frame.color_range, frame.pts) == (UNNAMED, ColorRange.MPEG, 7)


def noise_in_all_formats():
    """A picture in each pixel format that libswscale can write and read."""
    pixels = np.random.default_rng(7).integers(0, 256, (66, 98, 3), dtype=np.uint8)
    picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    for name in sorted(av.video.format.names):
        with suppress(ValueError, av.error.FFmpegError):
            frame = VideoReformatter().reformat(picture, format=name)
            VideoReformatter().reformat(frame, format="rgb48le")
            yield frame


@pytest.mark.parametrize("size", [(28, 56), (66, 98), (90, 101)])
@pytest.mark.parametrize("transfer", [SDR, PQ])
def test_pictures_are_libswscales_packed_ones_to_the_bit(size, transfer):
    """By planes they are made in half the time, and no scene may hang on that."""
    height, width = size
    n_seen = 0
    for frame in noise_in_all_formats():
        frame.colorspace, frame.color_trc = ITU709, transfer
        packed = VideoReformatter().reformat(
            frame,
            width=width,
            height=height,
            format="rgb48le" if transfer == PQ else "rgb24",
            interpolation=SCALING,
        )
        expected = packed.to_ndarray()
        if transfer == PQ:
            expected = sdr_of(expected, transfer)
        np.testing.assert_array_equal(RgbScaler().scale(frame, *size), expected, frame.format.name)
        n_seen += 1
    assert n_seen > 100
