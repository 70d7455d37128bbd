"""The rule on pixels: what it says of them, and where it is silent."""

import numpy as np
import pytest

from flexivideo.plain_world.measures import LIGHT_MARGIN, LIGHT_THRESHOLDS, measure, words_of

HEIGHT_PX, WIDTH_PX = 28, 56
PURE = {
    "red": (200, 10, 10),
    "orange": (220, 120, 10),
    "yellow": (220, 210, 10),
    "green": (10, 200, 30),
    "blue": (20, 60, 220),
    "purple": (160, 20, 200),
    "grey": (120, 120, 120),
}


def still(colour, n_frames=4):
    return np.full((n_frames, HEIGHT_PX, WIDTH_PX, 3), colour, np.uint8)


def noisy(n_frames=4, seed=0, low=0, high=255):
    shape = (n_frames, HEIGHT_PX, WIDTH_PX, 3)
    return np.random.default_rng(seed).integers(low, high, shape, np.uint8)


def at_2_fps(frames):
    """Attribute to its word and whether it is clear."""
    return words_of(measure(frames, np.arange(len(frames)) / 2))


@pytest.mark.parametrize("colour", PURE)
def test_a_pure_colour_has_its_name(colour):
    assert at_2_fps(still(PURE[colour]))["colour"] == (colour, True)


@pytest.mark.parametrize(("level", "light"), [(20, "dark"), (85, "dim"), (180, "bright")])
def test_light_is_the_mean_level(level, light):
    assert at_2_fps(still(level))["light"] == (light, True)


@pytest.mark.parametrize("threshold", LIGHT_THRESHOLDS)
def test_nothing_is_clear_within_the_margin(threshold):
    """Recompression moves a level by a few: on the threshold no word can be right or wrong."""
    for level, clear in ((threshold, False), (threshold - LIGHT_MARGIN - 2, True)):
        assert at_2_fps(still(int(level)))["light"][1] is clear


def test_a_flat_picture_is_plain_and_a_busy_one_detailed():
    assert at_2_fps(still(90))["detail"] == ("plain", True)
    assert at_2_fps(noisy())["detail"] == ("detailed", True)


def test_amounts_follow_what_changes_in_half_a_second():
    rest = np.repeat(noisy(1, low=90, high=130), 6, axis=0)
    creeping = rest.copy()
    for index in range(6):
        creeping[index] += np.uint8(4 * index)  # Delta is about 0.03 a grey level
    for frames, amount in ((rest, "still"), (creeping, "slow"), (noisy(6), "fast")):
        assert at_2_fps(frames)["amount"] == (amount, True)


def test_one_frame_says_nothing_of_movement():
    assert at_2_fps(noisy(1))["amount"] == ("still", False)


def test_a_denser_sampling_says_the_same():
    """Change is measured over half a second, not from frame to frame: fps must not change words."""
    frames = noisy(5, low=60, high=90)
    slow = measure(frames, np.arange(5) / 2)
    dense = measure(np.repeat(frames, 2, axis=0), np.arange(10) / 4)
    assert dense.change == pytest.approx(slow.change, rel=0.02)


def test_the_time_at_which_a_shot_begins_does_not_matter():
    frames = noisy()
    assert measure(frames, np.arange(4) / 2) == measure(frames, 3600.1 + np.arange(4) / 2)


def test_mirroring_changes_no_word():
    frames = noisy(seed=3, low=40, high=120)
    assert at_2_fps(frames) == at_2_fps(frames[:, :, ::-1]) == at_2_fps(frames[:, ::-1])


@pytest.mark.parametrize(("n_frames", "n_times"), [(0, 0), (3, 2)])
def test_frames_and_times_must_agree(n_frames, n_times):
    with pytest.raises(ValueError, match=f"{n_frames} frames came with {n_times} times"):
        measure(still(0, n_frames), np.arange(n_times) / 2)
