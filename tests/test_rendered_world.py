"""Rendering: the same seed gives the same pixels, and the camera does what it says."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from flexivideo.plain_words import ATTRIBUTES, VOCABULARY, judge
from flexivideo.rendered_world import render, sample_shot
from flexivideo.scenery import SCENERY_PX, look_at, sample_scenery

SIZE = {"height_px": 28, "width_px": 56}
TIMES_S = np.arange(6) / 2


def quiet_shot(seed, *, velocity=(0.0, 0.0)):
    """A shot in which only the camera can move."""
    shot = sample_shot(np.random.default_rng(seed))
    camera = replace(shot.camera, velocity=velocity, zoom=0.0, shake=0.0)
    return replace(shot, camera=camera, things=(), flicker=0.0, noise=0.0, smear=0.0)


def test_the_same_seed_gives_the_same_pixels():
    """A held-out set that changes between runs measures nothing."""
    first, second = (render(sample_shot(np.random.default_rng(5)), TIMES_S, **SIZE) for _ in "ab")
    np.testing.assert_array_equal(first, second)


def test_another_seed_gives_another_shot():
    first, second = (render(sample_shot(np.random.default_rng(n)), TIMES_S, **SIZE) for n in (5, 6))
    assert np.abs(first.astype(int) - second).mean() > 5


@pytest.mark.parametrize("size", [(28, 112), (56, 56), (112, 28)])
def test_frames_have_the_asked_size_and_number(size):
    height_px, width_px = size
    shot = sample_shot(np.random.default_rng(1))
    frames = render(shot, TIMES_S, height_px=height_px, width_px=width_px)
    assert (frames.shape, frames.dtype) == ((6, *size, 3), np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_at_rest_nothing_changes(seed):
    frames = render(quiet_shot(seed), TIMES_S, **SIZE)
    np.testing.assert_array_equal(frames, np.repeat(frames[:1], 6, axis=0))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_pan_shifts_the_picture(axis):
    """After the time it takes to pan one pixel, row (column) n shows what n + 1 showed."""
    shot = quiet_shot(3)
    speed = shot.camera.field / SIZE["height_px"]  # one pixel a second
    velocity = (speed, 0.0) if axis == 0 else (0.0, speed)
    frames = render(quiet_shot(3, velocity=velocity), [0.0, 1.0], **SIZE).astype(int)
    before = np.delete(frames[0], 0, axis=axis)
    after = np.delete(frames[1], -1, axis=axis)
    assert np.abs(before - after).max() <= 1


def test_frames_do_not_depend_on_which_others_are_asked_for():
    shot = quiet_shot(2, velocity=(0.05, 0.02))
    np.testing.assert_array_equal(
        render(shot, TIMES_S[::2], **SIZE), render(shot, TIMES_S, **SIZE)[::2]
    )


def test_scenery_wraps_round():
    """Looking one whole side further shows the same, so a pan never meets an edge."""
    picture = sample_scenery(np.random.default_rng(0)).levels[0]
    line = np.linspace(-3.3, SCENERY_PX + 5.1, 40)
    # The shift costs half a bit of the float32 weights.
    np.testing.assert_allclose(
        look_at(picture, line, line), look_at(picture, line + SCENERY_PX, line), atol=1e-4
    )


def test_levels_keep_the_mean():
    levels = sample_scenery(np.random.default_rng(4)).levels
    assert [len(level) for level in levels] == [SCENERY_PX >> n for n in range(len(levels))]
    for level in levels:
        np.testing.assert_allclose(level.mean((0, 1)), levels[0].mean((0, 1)), atol=1e-4)


def test_the_world_holds_every_word():
    """A word that is never rendered is never learned."""
    rng, seen = np.random.default_rng(0), Counter()
    for _ in range(60):
        scenery = sample_scenery(rng)
        for _ in range(4):
            frames = render(sample_shot(rng, scenery), TIMES_S, **SIZE)
            truth = judge(frames, TIMES_S)
            seen.update((name, getattr(truth.words, name)) for name in truth.clear)
    expected = {(name, word) for name in ATTRIBUTES for word in VOCABULARY[name]}
    assert {key for key in expected if seen[key] < 3} == set()
