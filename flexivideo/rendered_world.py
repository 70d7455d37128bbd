"""Rendered shots: seeded pictures under a moving camera, at any size, without any codec.

A shot is a picture on a torus, a camera's path over it (at rest, panning, zooming, shaking),
perhaps things that move in front of it, some light, and a sensor. Everything follows from the
generator: the same seed gives the same pixels. What is true of a shot is not said here but judged
from its pixels (``flexivideo.plain_words``).

    Scenery   structure without colours, costly to make, good for many shots
    Shot      scenery, colours, camera and things; sampled by sample_shot
    render    frames of a shot at any times and size

Shapes: T frames, H, W pixels, 3 RGB; scenery is a square of SCENERY_PX, halved LEVELS - 1 times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexivideo.scenery import SCENERY_PX, Scenery, look_at, sample_scenery

__all__ = ["Shot", "render", "sample_shot"]

Pixels = NDArray[np.float32]

# Parts of the colour circle, turns, and how likely each is: the warm ones are narrow, and much of
# real footage is warm.
HUE_PARTS = (-0.042, 0.05, 0.125, 0.195, 0.325, 0.46, 0.59, 0.72, 0.84, 0.958)
HUE_SHARES = (0.14, 0.18, 0.16, 0.09, 0.09, 0.08, 0.1, 0.08, 0.08)

# Mean value (share of white): night, indoors, day, each equally likely.
LIGHT_PARTS = ((0.04, 0.26), (0.22, 0.5), (0.4, 0.92))


@dataclass(frozen=True, kw_only=True)
class Colours:
    """From scenery's three layers to RGB.

    Attributes:
        contrast: span of the values.
        gamma: of the values; above 1 few parts are light.
        hue: middle of the hues, turns.
        hue_span: how much of the circle the hues cover, turns.
        chroma: largest saturation, 0 to 1.
        light: wanted mean value, 0 to 1.
    """

    contrast: float
    gamma: float
    hue: float
    hue_span: float
    chroma: float
    light: float


@dataclass(frozen=True, kw_only=True)
class Thing:
    """An ellipse that moves on its own; lengths in view heights, from the view's middle.

    Attributes:
        radii: (down, right).
        position: at time 0, (down, right).
        velocity: a second, (down, right); it comes in again at the other side.
        colour: RGB, 0 to 1.
        grain: how much the scenery shows through as texture, 0 to 1.
    """

    radii: tuple[float, float]
    position: tuple[float, float]
    velocity: tuple[float, float]
    colour: tuple[float, float, float]
    grain: float


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where the view is; lengths are shares of the scenery.

    Attributes:
        start: of the view's middle, (down, right).
        velocity: a second, (down, right).
        field: height of the view at time 0.
        zoom: growth of the field, natural log a second.
        shake: amplitude of an unsteady hand.
    """

    start: tuple[float, float]
    velocity: tuple[float, float]
    field: float
    zoom: float
    shake: float


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What is filmed, and how.

    Attributes:
        scenery: the background.
        colours: its colours.
        camera: its path.
        things: in front, the last one nearest.
        flicker: relative amplitude of the light's changes.
        noise: standard deviation of the sensor's noise, grey levels.
        smear: standard deviation of a codec's errors, grey levels, in blocks.
        seed: of noise, smear and shake.
    """

    scenery: Scenery
    colours: Colours
    camera: Camera
    things: tuple[Thing, ...]
    flicker: float
    noise: float
    smear: float
    seed: int


def sample_shot(rng: np.random.Generator, scenery: Scenery | None = None) -> Shot:
    """A shot as the world has them: all lights, colours, pictures and speeds."""
    scenery = scenery or sample_scenery(rng)
    kind = rng.choice(["rest", "things", "camera", "both"], p=[0.2, 0.3, 0.3, 0.2])
    return Shot(
        scenery=scenery,
        colours=_sample_colours(rng),
        camera=_sample_camera(rng, moves=kind in ("camera", "both")),
        things=_sample_things(rng, moves=kind in ("things", "both")),
        flicker=float(rng.uniform(0.005, 0.1)) if kind != "rest" and rng.random() < 0.08 else 0.0,
        noise=float(rng.uniform(0.3, 3.0)) if rng.random() < 0.3 else 0.0,
        smear=float(rng.uniform(0.2, 1.5)) if rng.random() < 0.5 else 0.0,
        seed=int(rng.integers(2**31)),
    )


def render(
    shot: Shot, times_s: Sequence[float] | NDArray[np.float64], *, height_px: int, width_px: int
) -> NDArray[np.uint8]:
    """Frames of a shot at these times, uint8 [T,H,W,3]."""
    chance = np.random.default_rng(shot.seed)
    wobble = chance.uniform(0, 2 * np.pi, 4), chance.uniform(0.4, 1.2, 4)
    picture = _picture(shot, height_px)
    side_px = len(picture)
    rows = (np.arange(height_px) + 0.5) / height_px - 0.5
    columns = ((np.arange(width_px) + 0.5) / width_px - 0.5) * width_px / height_px
    frames = np.empty((len(times_s), height_px, width_px, 3), np.uint8)
    for index, time_s in enumerate(times_s):
        waves = np.sin(wobble[0] + 2 * np.pi * wobble[1] * time_s)
        camera = shot.camera
        field = camera.field * np.exp(camera.zoom * time_s)
        down, right = (
            camera.start[axis] + camera.velocity[axis] * time_s + camera.shake * waves[axis]
            for axis in (0, 1)
        )
        lines, stations = (down + rows * field) * side_px, (right + columns * field) * side_px
        view = look_at(picture, lines, stations)
        for thing in shot.things:
            _put(view, thing, time_s, rows, columns)
        view *= 255 * (1 + shot.flicker * waves[2])
        if shot.noise:
            view += shot.noise * chance.standard_normal(view.shape, dtype=np.float32)
        if shot.smear:
            view += shot.smear * _smear(chance, height_px, width_px)
        frames[index] = np.clip(np.rint(view), 0, 255)
    return frames


def _picture(shot: Shot, height_px: int) -> Pixels:
    """The coloured scenery at about the view's own resolution, so that nothing aliases."""
    step = shot.camera.field * SCENERY_PX / height_px
    level = int(np.clip(np.floor(np.log2(max(step, 1.0)) + 0.4), 0, len(shot.scenery.levels) - 1))
    layers = shot.scenery.levels[level]
    look = shot.colours
    value = 0.5 + look.contrast * (layers[..., 0] - 0.5)
    value = value**look.gamma
    hue = look.hue + look.hue_span * (layers[..., 1] - 0.5)
    chroma = look.chroma * (0.5 + 0.5 * layers[..., 2])
    sector = (hue[..., None] * 6 + np.array([0.0, 4.0, 2.0], np.float32)) % 6
    wheel = np.clip(np.abs(sector - 3) - 1, 0, 1)
    picture = value[..., None] * (1 - chroma[..., None] * (1 - wheel))
    picture *= look.light / max(float(picture.mean()), 1e-3)
    return np.clip(picture, 0, 1).astype(np.float32)


def _put(
    view_HWC: Pixels,
    thing: Thing,
    time_s: float,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
) -> None:
    """Draw a thing into the view, with edges one pixel soft; it wraps just outside the view."""
    softness = (rows[1] - rows[0]) / min(thing.radii)
    where, slices = [], []
    for axis, line in enumerate((rows, columns)):
        radius = thing.radii[axis]
        span = line[-1] - line[0] + 2 * radius
        place = thing.position[axis] * span + thing.velocity[axis] * time_s
        offset = (line - (place % span - span / 2)) / radius
        near = np.flatnonzero(np.abs(offset) < 1 + softness)
        if not len(near):
            return
        slices.append(slice(near[0], near[-1] + 1))
        where.append(offset[slices[-1]].astype(np.float32))
    distance = np.sqrt(where[0][:, None] ** 2 + where[1][None] ** 2)
    cover = np.clip((1 - distance) / np.float32(softness) + np.float32(0.5), 0, 1)[..., None]
    # A pattern fixed to the thing, so that it is seen to carry its texture along.
    pattern = np.sin(7 * where[0])[:, None] * np.sin(9 * where[1])[None]
    surface = np.array(thing.colour, np.float32) * (1 + thing.grain * pattern[..., None])
    part = view_HWC[slices[0], slices[1]]
    part += cover * (np.clip(surface, 0, 1) - part)


def _smear(chance: np.random.Generator, height_px: int, width_px: int) -> Pixels:
    """What a codec leaves behind after scaling: errors that blocks of pixels share."""
    side = 4
    small = chance.standard_normal((height_px // side + 1, width_px // side + 1, 3), np.float32)
    return small.repeat(side, 0).repeat(side, 1)[:height_px, :width_px]


def _sample_colours(rng: np.random.Generator) -> Colours:
    begin = rng.choice(len(HUE_SHARES), p=HUE_SHARES)
    return Colours(
        contrast=float(rng.uniform(0.1, 1.0)),
        gamma=float(rng.uniform(0.6, 2.0)),
        hue=float(rng.uniform(HUE_PARTS[begin], HUE_PARTS[begin + 1])),
        hue_span=float(rng.choice([0.02, 0.08, 0.25, 0.6, 1.0], p=[0.35, 0.3, 0.2, 0.1, 0.05])),
        chroma=0.0 if rng.random() < 0.08 else float(rng.random() ** 0.8),
        light=float(rng.uniform(*LIGHT_PARTS[rng.integers(len(LIGHT_PARTS))])),
    )


def _sample_camera(rng: np.random.Generator, *, moves: bool) -> Camera:
    speed = _log_uniform(rng, 0.002, 0.4) if moves else 0.0
    angle = rng.uniform(0, 2 * np.pi)
    zooms, shakes = moves and rng.random() < 0.35, moves and rng.random() < 0.35
    if zooms and rng.random() < 0.5:
        speed = 0.0
    return Camera(
        start=(float(rng.random()), float(rng.random())),
        velocity=(float(speed * np.sin(angle)), float(speed * np.cos(angle))),
        field=float(rng.uniform(0.25, 0.9)),
        zoom=float(rng.choice([-1, 1])) * _log_uniform(rng, 0.01, 0.3) if zooms else 0.0,
        shake=_log_uniform(rng, 0.002, 0.08) if shakes else 0.0,
    )


def _sample_things(rng: np.random.Generator, *, moves: bool) -> tuple[Thing, ...]:
    count = rng.integers(1, 4) if moves else rng.integers(0, 2)
    pace = _log_uniform(rng, 0.01, 1.5) if moves else 0.0
    things = []
    for _ in range(count):
        angle, speed = rng.uniform(0, 2 * np.pi), pace * rng.uniform(0.5, 1.5)
        size = rng.uniform(0.06, 0.4)
        things.append(
            Thing(
                radii=(float(size), float(size * rng.uniform(0.4, 1.6))),
                position=(float(rng.random()), float(rng.random())),
                velocity=(float(speed * np.sin(angle)), float(speed * np.cos(angle))),
                colour=tuple((rng.random(3) * rng.uniform(0.3, 1.0)).tolist()),
                grain=float(rng.uniform(0, 0.5)),
            )
        )
    return tuple(things)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
