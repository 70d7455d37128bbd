"""Scenery: pictures without colours, on a torus, of many kinds, each at several resolutions.

Three layers between 0 and 1 say where value, hue and saturation vary. Overlapping leaves have the
edges and the flat parts of real pictures, clouds their spectrum; the rest is what people make.

Shapes: S side of a level, 3 layers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.chance import log_uniform

__all__ = ["SCENERY_PX", "Scenery", "look_at", "sample_scenery"]

SCENERY_PX = 256
N_LEVELS = 4

Layer = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Scenery:
    """Levels float32 [S, S, 3], S = SCENERY_PX, half of it, a quarter ...; each wraps round."""

    levels: tuple[Layer, ...]


def sample_scenery(rng: np.random.Generator) -> Scenery:
    """Scenery of a kind and grain drawn from the generator."""
    kind = rng.choice(
        ["leaves", "clouds", "stripes", "checks", "blobs", "tiles", "page", "flat", "mixed"],
        p=[0.31, 0.18, 0.06, 0.06, 0.09, 0.06, 0.08, 0.04, 0.12],
    )
    if kind == "leaves":
        layers = _leaves(rng)
    elif kind == "mixed":
        share = rng.uniform(0.1, 0.5)
        layers = (1 - share) * _leaves(rng) + share * _layers(rng, "clouds")
    else:
        layers = _layers(rng, str(kind))
    levels = [layers.astype(np.float32)]
    for _ in range(N_LEVELS - 1):
        side = len(levels[-1]) // 2
        levels.append(levels[-1].reshape(side, 2, side, 2, 3).mean(axis=(1, 3)))
    return Scenery(levels=tuple(levels))


def look_at(
    picture_SSC: Layer, down_px: NDArray[np.float64], right_px: NDArray[np.float64]
) -> Layer:
    """The picture at a grid of rows [H] and columns [W], bilinear, wrapping; [H, W, C]."""
    side = len(picture_SSC)
    top, left = np.floor(down_px).astype(int), np.floor(right_px).astype(int)
    down = (down_px - top).astype(np.float32)[:, None, None]
    right = (right_px - left).astype(np.float32)[None, :, None]
    lines = picture_SSC[top % side]
    lines = lines + down * (picture_SSC[(top + 1) % side] - lines)
    view = lines[:, left % side]
    return view + right * (lines[:, (left + 1) % side] - view)


def _leaves(rng: np.random.Generator) -> Layer:
    """Dead leaves: things of all sizes that hide each other, each of one tone with some grain."""
    layers = np.empty((SCENERY_PX, SCENERY_PX, 3), np.float32)
    layers[:] = rng.random(3)
    smallest = log_uniform(rng, 3, 30)
    for _ in range(int(rng.integers(30, 160))):
        # Sizes by a power law, as those of things in photographs.
        size = min(smallest / np.sqrt(rng.random() + 1e-4), 90.0)
        half = (size, size * rng.uniform(0.4, 1.0))[:: rng.choice([-1, 1])]
        rows, columns = (np.arange(-int(side), int(side) + 1) for side in half)
        middle = rng.integers(0, SCENERY_PX, 2)
        tone = rng.random(3).astype(np.float32)
        if rng.random() < 0.5:
            inside = (rows / half[0])[:, None] ** 2 + (columns / half[1])[None] ** 2 <= 1
        else:
            inside = np.ones((len(rows), len(columns)), bool)
        shade = 0.3 * rng.standard_normal() * (rows / half[0])[:, None] * np.ones(len(columns))
        where = np.ix_((rows + middle[0]) % SCENERY_PX, (columns + middle[1]) % SCENERY_PX)
        patch = np.broadcast_to(tone, (*inside.shape, 3)).copy()
        patch[..., 0] = np.clip(patch[..., 0] + shade, 0, 1)
        layers[where] = np.where(inside[..., None], patch, layers[where])
    grain = _layer(rng, "clouds") - 0.5
    layers[..., 0] = np.clip(layers[..., 0] + rng.uniform(0, 0.6) * grain, 0, 1)
    return layers


def _layers(rng: np.random.Generator, kind: str) -> Layer:
    """Value by kind; hue and saturation follow it, or have a course of their own."""
    value = _layer(rng, kind)
    others = [
        value if rng.random() < 0.4 else _layer(rng, str(rng.choice(["clouds", "blobs", kind])))
        for _ in range(2)
    ]
    return np.stack([value, *others], axis=-1)


def _layer(rng: np.random.Generator, kind: str) -> Layer:
    grid = np.linspace(0, 1, SCENERY_PX, endpoint=False, dtype=np.float32)
    y, x = grid[:, None], grid[None, :]
    layer: NDArray[np.floating]
    if kind == "clouds":  # noise whose spectrum falls as 1 / f^slope
        frequency = np.hypot(np.fft.fftfreq(SCENERY_PX)[:, None], np.fft.rfftfreq(SCENERY_PX)[None])
        frequency[0, 0] = 1
        spectrum = np.fft.rfft2(rng.standard_normal((SCENERY_PX, SCENERY_PX)))
        layer = np.fft.irfft2(spectrum / frequency ** rng.uniform(0.7, 2.4))
    elif kind in ("stripes", "checks"):
        down, right = rng.integers(1, 30, 2)
        layer = np.sin(2 * np.pi * (down * y + (right * x if kind == "stripes" else 0)))
        if kind == "checks":
            layer = layer * np.sin(2 * np.pi * right * x)
        if rng.random() < 0.5:
            layer = np.sign(layer)
    elif kind == "blobs":
        layer = np.zeros((SCENERY_PX, SCENERY_PX), np.float32)
        for _ in range(rng.integers(2, 16)):
            squares = [np.minimum(d := np.abs(a - rng.random()), 1 - d) ** 2 for a in (y, x)]
            width = rng.uniform(0.0005, 0.05)
            bump = np.exp(-squares[0] / width) * np.exp(-squares[1] / width)
            layer += rng.uniform(-1, 1) * bump
    elif kind == "tiles":
        size = int(rng.choice([4, 8, 16, 32, 64]))
        layer = np.kron(rng.random([SCENERY_PX // size] * 2), np.ones((size, size)))
    elif kind == "page":
        layer = _page(rng)
    else:
        layer = np.zeros((SCENERY_PX, SCENERY_PX))
    low, high = float(layer.min()), float(layer.max())
    if high <= low:
        return np.full((SCENERY_PX, SCENERY_PX), rng.random(), np.float32)
    return ((layer - low) / (high - low)).astype(np.float32)


def _page(rng: np.random.Generator) -> Layer:
    """Lines of words with gaps and margins on an even ground, as on slides, signs and screens."""
    page = np.zeros((SCENERY_PX, SCENERY_PX), np.float32)
    pitch, margin = int(rng.integers(4, 20)), int(rng.integers(4, 60))
    height, gap_share = max(1, int(pitch * rng.uniform(0.35, 0.7))), rng.uniform(0.0, 0.4)
    for top in range(margin, SCENERY_PX - margin, pitch):
        left = margin
        end = SCENERY_PX - rng.integers(margin, margin + 90) if rng.random() > gap_share else 0
        while left < end:
            word = int(pitch * rng.uniform(0.5, 3.0)) + 1
            ink = (rng.random((height, word)) < 0.65)[:, : SCENERY_PX - left]
            page[top : top + height, left : left + word] = ink[: SCENERY_PX - top]
            left += word + 1 + pitch // 3
    return page if rng.random() < 0.3 else 1 - page
