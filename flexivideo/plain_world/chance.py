"""Draws that the rendered world makes more than once."""

import numpy as np

__all__ = ["log_uniform", "near_an_axis"]

# Most things that move along a line do so across the picture or up and down.
AXIS_SHARE = 0.75
AXIS_WITHIN_RADIANS = 0.35


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two, every ratio equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def near_an_axis(rng: np.random.Generator) -> tuple[float, float]:
    """A direction (down, right) of unit length, mostly near one of the picture's axes."""
    angle = rng.uniform(0, 2 * np.pi)
    if rng.random() < AXIS_SHARE:
        angle = rng.integers(4) * np.pi / 2 + rng.uniform(-1, 1) * AXIS_WITHIN_RADIANS
    return float(np.sin(angle)), float(np.cos(angle))
