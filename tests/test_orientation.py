from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.orientation import Orientation, UprightScaler

# What the display matrix of each way to lie does to a picture, and the numpy call that undoes it.
RIGHT_ANGLES = {
    "upright": ((1, 0, 0, 1), lambda p: p),
    "half turn": ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    "quarter clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "quarter counterclockwise": ((0, -1, 1, 0), lambda p: np.rot90(p)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
}


class FrameWith:
    """The side data of a frame whose display matrix is this one."""

    def __init__(self, a, b, c, d):
        matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 14], "<i4") * 65536
        self.side_data = {av.sidedata.sidedata.Type.DISPLAYMATRIX: matrix.tobytes()}


@pytest.mark.parametrize("name", RIGHT_ANGLES)
def test_a_display_matrix_is_applied_as_a_player_does(name, rng):
    """(x, y) goes to (a x + c y, b x + d y), y pointing down."""
    matrix, expected = RIGHT_ANGLES[name]
    picture = rng.integers(0, 256, (3, 5, 3)).astype(np.uint8)
    assert np.array_equal(Orientation.of(FrameWith(*matrix)).apply(picture), expected(picture))


def test_a_frame_without_a_matrix_is_upright():
    assert Orientation.of(av.VideoFrame(16, 16, "yuv420p")) == Orientation()


def test_pixels_that_are_wide_make_a_wider_picture():
    frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    scaler = UprightScaler(frame, Fraction(16, 11))
    assert (scaler.height_px, scaler.width_px) == (48, 93)


def test_a_frame_of_another_size_is_scaled_to_the_same(rng):
    frames = [
        av.VideoFrame.from_ndarray(np.full((*size, 3), 99, np.uint8), format="rgb24")
        for size in ((48, 64), (96, 64), (24, 24))
    ]
    scaler = UprightScaler(frames[0], Fraction(1))
    for frame in frames:
        picture = scaler.scale(frame, 28, 56)
        assert picture.shape == (28, 56, 3)
        assert np.abs(picture.astype(int) - 99).max() <= 1
