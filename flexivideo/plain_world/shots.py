"""Rendered shots: seeded pictures under a moving camera, at any size, without any codec.

A shot is a picture on a torus, a camera's path over it, perhaps things that move in front of it,
some light, and a sensor. Everything follows from the generator: the same seed gives the same
pixels. Its motion is known exactly; what else is true of it is judged from its pixels.

    Shot         scenery, colours, camera and things; sampled by sample_shot
    render       frames of a shot at any times and size
    motion_at    how what is seen in a frame moves

Shapes: T frames, H, W pixels, 3 RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.camera import Camera, sample_camera
from flexivideo.plain_world.colours import Colours, sample_colours
from flexivideo.plain_world.heading import CELL_PX, Motion, picture_weights
from flexivideo.plain_world.scenery import SCENERY_PX, Scenery, look_at, sample_scenery
from flexivideo.plain_world.things import Thing, sample_named_thing, sample_things
from flexivideo.plain_world.words import NOTHING

__all__ = ["Shot", "motion_at", "render", "sample_shot"]

Pixels = NDArray[np.float32]

# What moves in a shot, and how likely.
KINDS = {"rest": 0.14, "things": 0.3, "camera": 0.31, "camera and things": 0.07, "named": 0.18}


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What is filmed, and how.

    Attributes:
        scenery: the background.
        colours: its colours.
        camera: its path.
        things: in front, the last one nearest.
        named: what the coloured shape among them is called (of ``words.THINGS``).
        flicker: relative amplitude of the light's changes.
        fade: the light comes in (above 0) or goes out, its full amount a second; 0: it does not.
        fade_middle_s: when half of it is there.
        noise: standard deviation of the sensor's noise, grey levels.
        smear: standard deviation of a codec's errors, grey levels, in blocks.
        seed: of noise, smear and flicker.
    """

    scenery: Scenery
    colours: Colours
    camera: Camera
    things: tuple[Thing, ...]
    named: str
    flicker: float
    fade: float
    fade_middle_s: float
    noise: float
    smear: float
    seed: int


def sample_shot(rng: np.random.Generator, scenery: Scenery | None = None) -> Shot:
    """A shot as the world has them: all lights, colours, pictures, speeds and ways."""
    scenery = scenery or sample_scenery(rng)
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    named, things = NOTHING, sample_things(rng, moves="things" in kind)
    if kind == "named":
        named, thing = sample_named_thing(rng)
        things = (thing,)
    return Shot(
        scenery=scenery,
        colours=sample_colours(rng),
        camera=sample_camera(rng, moves="camera" in kind),
        things=things,
        named=named,
        flicker=float(rng.uniform(0.005, 0.1)) if kind != "rest" and rng.random() < 0.06 else 0.0,
        fade=float(rng.choice([-1, 1]) * rng.uniform(0.15, 1.0)) if rng.random() < 0.05 else 0.0,
        fade_middle_s=float(rng.uniform(0, 8)),
        noise=float(rng.uniform(0.3, 3.0)) if rng.random() < 0.3 else 0.0,
        smear=float(rng.uniform(0.2, 1.5)) if rng.random() < 0.5 else 0.0,
        seed=int(rng.integers(2**31)),
    )


def render(
    shot: Shot, times_s: Sequence[float] | NDArray[np.float64], *, height_px: int, width_px: int
) -> NDArray[np.uint8]:
    """Frames of a shot at these times, uint8 [T,H,W,3]."""
    chance = np.random.default_rng(shot.seed)
    phase, frequency = chance.uniform(0, 2 * np.pi), chance.uniform(0.4, 1.2)
    picture = _picture(shot, height_px)
    rows, columns = _pixels(height_px, width_px)
    frames = np.empty((len(times_s), height_px, width_px, 3), np.uint8)
    for index, time_s in enumerate(times_s):
        seen = shot.camera.view(time_s)
        lines, stations = (
            (middle + line * seen.field) * len(picture)
            for middle, line in zip(seen.middle, (rows, columns), strict=True)
        )
        view = look_at(picture, lines, stations)
        for thing in shot.things:
            thing.draw(view, time_s, rows, columns)
        light = 1 + shot.flicker * np.sin(phase + 2 * np.pi * frequency * time_s)
        if shot.fade:
            light *= np.clip(0.5 + shot.fade * (time_s - shot.fade_middle_s), 0, 1)
        view *= np.float32(255 * light)
        if shot.noise:
            view += shot.noise * chance.standard_normal(view.shape, dtype=np.float32)
        if shot.smear:
            view += shot.smear * _smear(chance, height_px, width_px)
        frames[index] = np.clip(np.rint(view, out=view), 0, 255, out=view)
    return frames


def motion_at(shot: Shot, time_s: float, frame_HW3: NDArray[np.uint8]) -> Motion:
    """How what is seen in a frame of :func:`render` moves, cell by cell."""
    rows, columns = _pixels(*frame_HW3.shape[:2])
    weights = picture_weights(frame_HW3)
    down, right = (
        line[: count * CELL_PX].reshape(count, CELL_PX).mean(axis=1)
        for line, count in zip((rows, columns), weights.shape, strict=True)
    )
    places = np.stack(np.meshgrid(down, right, indexing="ij"), axis=-1)
    speeds = shot.camera.view(time_s).speeds(places)
    for thing in shot.things:
        # Offsets of all pixels, since the thing's way depends on where the view ends.
        offsets = thing.offsets(time_s, rows, columns)
        down, right = (
            offset[CELL_PX // 2 :: CELL_PX][:count]
            for offset, count in zip(offsets, weights.shape, strict=True)
        )
        speeds[thing.distance(down[:, None], right[None]) < 1] = thing.velocity_at(time_s)
    return Motion(
        places=places.reshape(-1, 2), speeds=speeds.reshape(-1, 2), weights=weights.reshape(-1)
    )


def _picture(shot: Shot, height_px: int) -> Pixels:
    """The coloured scenery at about the view's own resolution, so that nothing aliases."""
    step = shot.camera.field * SCENERY_PX / height_px
    level = int(np.clip(np.floor(np.log2(max(step, 1.0)) + 0.4), 0, len(shot.scenery.levels) - 1))
    return shot.colours.paint(shot.scenery.levels[level])


def _pixels(height_px: int, width_px: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middles of rows and columns, view heights from the middle of the view."""
    rows = (np.arange(height_px) + 0.5) / height_px - 0.5
    columns = ((np.arange(width_px) + 0.5) / width_px - 0.5) * width_px / height_px
    return rows, columns


def _smear(chance: np.random.Generator, height_px: int, width_px: int) -> Pixels:
    """What a codec leaves behind after scaling: errors that blocks of pixels share."""
    side = 4
    small = chance.standard_normal((height_px // side + 1, width_px // side + 1, 3), np.float32)
    return small.repeat(side, 0).repeat(side, 1)[:height_px, :width_px]
