"""The rule on motion: which way most of what is seen moves, whoever found the motion."""

import numpy as np
import pytest

from flexivideo.plain_world.heading import Motion, heading_of, picture_weights

WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up", "closer": "away"}


def grid(n=8):
    line = (np.arange(n) + 0.5) / n - 0.5
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def motion(speeds, weights=None):
    places = grid()
    speeds = np.broadcast_to(np.asarray(speeds, float), places.shape)
    return Motion(
        places=places,
        speeds=speeds,
        weights=np.ones(len(places)) if weights is None else weights,
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("speed", [0.05, 0.8])
def test_a_pan_has_its_heading_at_any_speed(way, speed):
    assert heading_of(motion(speed * np.array(WAYS[way]))) == (way, True)


@pytest.mark.parametrize(("rate", "heading"), [(0.3, "closer"), (-0.3, "away")])
def test_a_zoom_goes_outwards_or_inwards(rate, heading):
    assert heading_of(motion(rate * grid())) == (heading, True)


@pytest.mark.parametrize("way", [*WAYS, "closer"])
def test_played_backwards_the_heading_is_the_opposite(way):
    speeds = 0.3 * grid() if way == "closer" else np.array(WAYS[way]) * 0.3
    assert heading_of(motion(speeds))[0] == way
    assert heading_of(motion(-speeds))[0] == OPPOSITE[way]


def test_nothing_that_rests_votes():
    """A flow estimator's noise is everywhere; it must not outvote a small thing that moves."""
    speeds = np.full((64, 2), (0.0, 0.01))
    speeds[:3] = (0.0, -0.4)
    assert heading_of(motion(speeds)) == ("left", True)
    assert heading_of(motion(speeds * 0.02)) == ("nowhere", True)


def test_what_cannot_be_seen_does_not_vote():
    weights, speeds = np.zeros(64), np.tile((0.0, 0.4), (64, 1))
    weights[:8], speeds[:8] = 1.0, (-0.1, 0.0)
    assert heading_of(motion(speeds, weights)) == ("up", True)


def test_two_crowds_in_opposite_ways_have_no_heading():
    speeds = np.tile((0.0, 0.4), (64, 1))
    speeds[::2] *= -1
    assert heading_of(motion(speeds)) == ("nowhere", True)


@pytest.mark.parametrize("speeds", [(0.3, 0.3), (-0.2, 0.22)])
def test_between_two_axes_nothing_is_clear(speeds):
    assert heading_of(motion(speeds))[1] is False


def test_no_motion_at_all_is_nowhere():
    empty = Motion(places=np.zeros((0, 2)), speeds=np.zeros((0, 2)), weights=np.zeros(0))
    assert heading_of(empty) == ("nowhere", True)


def test_weights_are_where_the_picture_has_steps():
    frame = np.full((14, 21, 3), 50, np.uint8)
    frame[2:5, 15:18] = 200
    weights = picture_weights(frame)
    assert weights.shape == (2, 3)
    assert weights.argmax() == 2
    assert weights[1, 0] == 0
