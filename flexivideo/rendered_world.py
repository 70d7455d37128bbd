"""Rendered shots: seeded textures under a moving camera, at any size, without any codec.

A shot is a picture on a torus and a camera path over it (still, pan, zoom), perhaps with a disc
that moves on its own, under some light. Everything follows from the generator, so the same seed
gives the same pixels. What is true of a shot is not said here but judged from its pixels
(``flexivideo.plain_words``).

Shapes: T frames, H, W pixels, 3 RGB; a canvas is a square of CANVAS_PX.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shot", "render", "sample_shot"]

CANVAS_PX = 192

Canvas = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What is filmed, and how.

    Attributes:
        canvas: float32 [CANVAS_PX, CANVAS_PX, 3], 0 to 1; wraps round at its edges.
        start: where the camera's left upper corner begins, canvas shares (y, x).
        velocity: canvas shares a second (y, x).
        field: height of the view, canvas shares, at the start.
        zoom: growth of the field, natural log a second.
        disc: radius (share of the view's height; 0: none), position and velocity (y, x, view
            heights, a second) and colour of a disc in front.
        noise: standard deviation of the sensor's noise, grey levels.
        seed: of that noise.
    """

    canvas: Canvas
    start: tuple[float, float]
    velocity: tuple[float, float]
    field: float
    zoom: float
    disc: tuple[float, tuple[float, float], tuple[float, float], tuple[float, float, float]]
    noise: float
    seed: int


def sample_shot(rng: np.random.Generator) -> Shot:
    """A shot as the world has them: all lights, colours, textures and speeds."""
    canvas = _light(_colour(_texture(rng), rng), rng)
    speed = 0.0 if rng.random() < 0.3 else float(np.exp(rng.uniform(np.log(0.002), np.log(0.3))))
    angle = rng.uniform(0, 2 * np.pi)
    zoom = 0.0 if rng.random() < 0.6 else float(rng.choice([-1, 1]) * rng.uniform(0.01, 0.2))
    moves = speed > 0 or rng.random() < 0.2
    disc_speed = float(np.exp(rng.uniform(np.log(0.01), np.log(0.8)))) if moves else 0.0
    disc_angle = rng.uniform(0, 2 * np.pi)
    radius = float(rng.uniform(0.08, 0.35)) if rng.random() < 0.35 else 0.0
    return Shot(
        canvas=canvas,
        start=tuple(rng.random(2)),
        velocity=(speed * np.sin(angle), speed * np.cos(angle)),
        field=float(rng.uniform(0.25, 0.9)),
        zoom=zoom if moves else 0.0,
        disc=(
            radius,
            tuple(rng.uniform(0.1, 0.9, 2)),
            (disc_speed * np.sin(disc_angle), disc_speed * np.cos(disc_angle)),
            tuple(rng.random(3)),
        ),
        noise=float(rng.choice([0.0, 0.0, 1.0, 2.0, 4.0])),
        seed=int(rng.integers(2**31)),
    )


def render(
    shot: Shot, *, n_frames: int, fps: float, height_px: int, width_px: int
) -> NDArray[np.uint8]:
    """Frames of a shot, uint8 [T,H,W,3], bilinear from its canvas."""
    noise = np.random.default_rng(shot.seed)
    frames = np.empty((n_frames, height_px, width_px, 3), np.uint8)
    rows = (np.arange(height_px) + 0.5) / height_px - 0.5
    columns = ((np.arange(width_px) + 0.5) / width_px - 0.5) * width_px / height_px
    for index in range(n_frames):
        time_s = index / fps
        field = shot.field * np.exp(shot.zoom * time_s)
        view = _look(
            shot.canvas,
            (shot.start[0] + shot.velocity[0] * time_s + rows * field) * CANVAS_PX,
            (shot.start[1] + shot.velocity[1] * time_s + columns * field) * CANVAS_PX,
        )
        radius, position, velocity, colour = shot.disc
        if radius:
            y = (position[0] + velocity[0] * time_s) % 1.0 - 0.5
            x = ((position[1] + velocity[1] * time_s) % 1.0 - 0.5) * width_px / height_px
            inside = (rows[:, None] - y) ** 2 + (columns[None] - x) ** 2 < radius**2
            view[inside] = colour
        pixels = view * 255
        if shot.noise:
            pixels = pixels + noise.normal(0, shot.noise, pixels.shape)
        frames[index] = np.clip(np.rint(pixels), 0, 255)
    return frames


def _look(canvas: Canvas, y: NDArray[np.float64], x: NDArray[np.float64]) -> Canvas:
    """The canvas at the grid of y [H] and x [W] (canvas pixels), bilinear, wrapping."""
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down = (y - top).astype(np.float32)[:, None, None]
    right = (x - left).astype(np.float32)[None, :, None]
    lines = canvas[top % CANVAS_PX] * (1 - down) + canvas[(top + 1) % CANVAS_PX] * down
    return lines[:, left % CANVAS_PX] * (1 - right) + lines[:, (left + 1) % CANVAS_PX] * right


def _texture(rng: np.random.Generator) -> Canvas:
    """Three layers [CANVAS_PX, CANVAS_PX, 3] between 0 and 1: where light, hue and chroma vary."""
    return np.stack([_layer(rng) for _ in range(3)], axis=-1).astype(np.float32)


def _layer(rng: np.random.Generator) -> NDArray[np.float64]:
    grid = np.linspace(0, 1, CANVAS_PX, endpoint=False)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    kind = rng.choice(["cloud", "cloud", "cloud", "stripes", "checks", "blobs", "flat", "tiles"])
    if kind == "cloud":  # noise whose spectrum falls as 1 / f^slope, like that of real scenes
        frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(CANVAS_PX)] * 2))
        frequency[0, 0] = 1
        spectrum = np.fft.fft2(rng.standard_normal((CANVAS_PX, CANVAS_PX)))
        layer = np.fft.ifft2(spectrum / frequency ** rng.uniform(0.6, 2.2)).real
    elif kind in ("stripes", "checks"):
        waves = rng.integers(1, 24, 2)
        layer = np.sin(2 * np.pi * (waves[0] * y + waves[1] * x * (kind == "stripes")))
        if kind == "checks":
            layer = layer * np.sin(2 * np.pi * waves[1] * x)
        if rng.random() < 0.5:
            layer = np.sign(layer)
    elif kind == "blobs":
        layer = np.zeros_like(y)
        for _ in range(rng.integers(2, 20)):
            dy, dx = (np.abs(axis - rng.random()) for axis in (y, x))
            distance = np.minimum(dy, 1 - dy) ** 2 + np.minimum(dx, 1 - dx) ** 2
            layer += rng.uniform(-1, 1) * np.exp(-distance / rng.uniform(0.0005, 0.05))
    elif kind == "tiles":
        size = int(rng.choice([4, 8, 16, 32, 64]))
        layer = np.kron(rng.random((CANVAS_PX // size, CANVAS_PX // size)), np.ones((size, size)))
    else:
        layer = np.zeros_like(y)
    spread = np.ptp(layer)
    return (layer - layer.min()) / spread if spread > 0 else np.full_like(y, rng.random())


def _colour(layers: Canvas, rng: np.random.Generator) -> Canvas:
    """Value, hue and chroma from the three layers, the hue within a part of the colour circle."""
    contrast = rng.uniform(0.05, 1.0)
    value = 0.5 + contrast * (layers[..., 0] - 0.5)
    hue = rng.random() + rng.choice([0.02, 0.05, 0.15, 0.5]) * (layers[..., 1] - 0.5)
    chroma = rng.choice([0.0, 0.08, 0.2, 0.4, 0.7, 0.95]) * (0.6 + 0.4 * layers[..., 2])
    sector = (hue[..., None] * 6 + np.array([0.0, 4.0, 2.0])) % 6
    wheel = np.clip(np.abs(sector - 3) - 1, 0, 1)
    return (value[..., None] * (1 - chroma[..., None] * (1 - wheel))).astype(np.float32)


def _light(canvas: Canvas, rng: np.random.Generator) -> Canvas:
    """The canvas under some light: its mean anywhere from night to snow."""
    wanted = rng.uniform(0.06, 0.85)
    lit = canvas * (wanted / max(float(canvas.mean()), 1e-3))
    return np.clip(lit, 0, 1).astype(np.float32)
