"""Rendering: the same seed gives the same pixels, and what is said to move does move so."""

from dataclasses import replace

import numpy as np
import pytest

from flexivideo.plain_world.heading import Motion, heading_of
from flexivideo.plain_world.scenery import SCENERY_PX, look_at, sample_scenery
from flexivideo.plain_world.shots import motion_at, render, sample_shot
from flexivideo.plain_world.sway import NO_SWAY, Sway, sample_sway
from flexivideo.plain_world.things import Thing, sample_named_thing, sample_things
from flexivideo.plain_world.words import FORMS, THINGS

SIZE = {"height_px": 28, "width_px": 56}
TIMES_S = np.arange(6) / 2


def quiet_shot(seed, *, velocity=(0.0, 0.0), zoom=0.0, things=()):
    """A shot in which only what is named can move."""
    shot = sample_shot(np.random.default_rng(seed))
    camera = replace(shot.camera, velocity=velocity, zoom=zoom, sway=NO_SWAY)
    still = {"flicker": 0.0, "fade": 0.0, "noise": 0.0, "smear": 0.0}
    return replace(shot, camera=camera, things=things, **still)


def thing(**changes):
    common = {"form": "circle", "radii": (0.2, 0.2), "position": (0.5, 0.5), "velocity": (0.0, 0.0)}
    return Thing(**(common | {"colour": (1.0, 0.0, 0.0)} | changes))


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


def test_a_frame_does_not_depend_on_which_others_are_asked_for():
    shot = quiet_shot(2, velocity=(0.05, 0.02))
    np.testing.assert_array_equal(
        render(shot, TIMES_S[::2], **SIZE), render(shot, TIMES_S, **SIZE)[::2]
    )


@pytest.mark.parametrize(
    ("changes", "heading"),
    [
        ({"velocity": (0.0, 0.1)}, "left"),
        ({"velocity": (-0.1, 0.0)}, "down"),
        ({"zoom": -0.2}, "closer"),
        ({"zoom": 0.2}, "away"),
        ({"things": (thing(velocity=(-0.3, 0.0)),)}, "up"),
        ({"things": (thing(velocity=(0.0, 0.3), form="square"),)}, "right"),
        ({}, "nowhere"),
    ],
)
def test_motion_is_what_the_camera_and_the_things_do(changes, heading):
    shot = quiet_shot(7, **changes)
    frames = render(shot, TIMES_S, **SIZE)
    motion = Motion.joined([motion_at(shot, t, f) for t, f in zip(TIMES_S, frames, strict=True)])
    assert heading_of(motion) == (heading, True)


@pytest.mark.parametrize("mover", ["camera", "thing"])
def test_to_and_fro_has_a_heading_on_its_way_and_none_in_the_end(mover):
    sway = Sway(size=(0.0, 0.2), frequency=(1.0, 0.25))
    shot = quiet_shot(7, things=(thing(sway=sway),) if mover == "thing" else ())
    if mover == "camera":
        shot = replace(shot, camera=replace(shot.camera, sway=sway))
    headings = []
    for end_s in (1.0, 4.0):
        times_s = np.arange(0, end_s, 0.25)
        frames = render(shot, times_s, **SIZE)
        motion = [motion_at(shot, t, frame) for t, frame in zip(times_s, frames, strict=True)]
        headings.append(heading_of(Motion.joined(motion)))
    way = "right" if mover == "thing" else "left"
    assert headings == [(way, True), ("nowhere", True)]


def test_a_sway_moves_as_fast_as_it_says_and_comes_back():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sway = sample_sway(rng, 0.01, 0.2)
        step_s = 1e-5
        moved = sway.offset(1.0 + step_s) - sway.offset(1.0 - step_s)
        np.testing.assert_allclose(sway.velocity(1.0), moved / (2 * step_s), atol=1e-6)
        assert 0.01 <= max(sway.size) <= 0.2
        for axis, frequency in enumerate(sway.frequency):
            back = sway.offset(1.0 + 1 / frequency)[axis]
            assert back == pytest.approx(sway.offset(1.0)[axis], abs=1e-9)


@pytest.mark.parametrize(("fade", "steps"), [(0.5, 1), (-0.5, -1)])
def test_light_that_fades_goes_one_way_from_none_to_all(fade, steps):
    shot = replace(quiet_shot(7), fade=fade, fade_middle_s=2.0)
    light = render(shot, np.arange(0, 4.5, 0.5), **SIZE).mean(axis=(1, 2, 3))[::steps]
    assert light[0] == 0
    assert (np.diff(light[2:7]) > 0).all()
    np.testing.assert_array_equal(light[6:], render(quiet_shot(7), [0.0], **SIZE).mean())


def test_no_nameless_thing_looks_like_a_named_one():
    rng = np.random.default_rng(0)
    rims = {sample_named_thing(rng)[1].rim for _ in range(100)}
    nameless = [thing for _ in range(300) for thing in sample_things(rng, moves=True)]
    assert {thing.form for thing in nameless} == set(FORMS)
    assert not rims & {thing.rim for thing in nameless}


def test_the_speeds_are_those_of_the_pixels():
    """A place that moves at v is a tenth of a second later v / 10 further on."""
    shot = quiet_shot(4, velocity=(0.03, -0.06), zoom=0.15)
    before, after = (shot.camera.view(time_s) for time_s in (1.0, 1.1))
    place = np.array([[0.2, -0.7]])
    point = before.middle + place * before.field
    moved = (point - after.middle) / after.field - place
    np.testing.assert_allclose(before.speeds(place) * 0.1, moved, rtol=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_a_thing_covers_its_outline(form):
    """Of a square of side 2, the shapes cover these shares."""
    view = np.zeros((200, 200, 3), np.float32)
    line = (np.arange(200) + 0.5) / 200 - 0.5
    thing(form=form, radii=(0.4, 0.4)).draw(view, 0.0, line, line)
    shares = {"circle": np.pi / 4, "square": 1.0, "triangle": 3 * 3**0.5 / 16}
    assert view[..., 0].mean() / 0.64 == pytest.approx(shares[form], rel=0.02)


def test_a_named_thing_is_called_what_it_is():
    rng = np.random.default_rng(0)
    names = {sample_named_thing(rng)[0] for _ in range(300)}
    assert names == set(THINGS[1:])
    for _ in range(5):
        name, made = sample_named_thing(rng)
        assert name.split()[1] == made.form


def test_a_thing_that_leaves_comes_in_again_at_the_other_side():
    moving, line = thing(velocity=(0.0, 0.5)), (np.arange(100) + 0.5) / 100 - 0.5
    seen = []
    for time_s in np.arange(0, 2.8, 0.1):
        view = np.zeros((100, 100, 3), np.float32)
        moving.draw(view, time_s, line, line)
        seen.append(float((view[..., 0].sum(0) * line).sum()))
    assert max(seen) > 1
    assert min(seen) < -1


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
