"""The camera of a rendered shot: where it looks at any time, and how that makes things move."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.chance import log_uniform, near_an_axis

__all__ = ["Camera", "View", "sample_camera"]

Array = NDArray[np.float64]

# How a camera that moves does it, and how likely.
MOVES = {"pan": 0.45, "zoom": 0.39, "pan and zoom": 0.06, "shake": 0.1}

# View heights a second, and natural log of the field a second.
PAN_SPEEDS = (0.02, 1.2)
ZOOM_RATES = (0.03, 0.4)


@dataclass(frozen=True, kw_only=True)
class View:
    """What a camera sees at one time; lengths are shares of the scenery.

    Attributes:
        middle: (down, right).
        velocity: of the middle, a second, (down, right).
        field: height.
        zoom: growth of the field, natural log a second.
    """

    middle: Array
    velocity: Array
    field: float
    zoom: float

    def speeds(self, places_N2: Array) -> Array:
        """How the scenery moves at places of the picture: view heights a second, [N, 2]."""
        return -self.velocity / self.field - self.zoom * places_N2


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A path over the scenery; lengths are shares of it.

    Attributes:
        start: of the view's middle, (down, right).
        velocity: a second, (down, right).
        field: height of the view at time 0.
        zoom: growth of the field, natural log a second.
        shake: amplitude of an unsteady hand.
        sway: phase, radians, and frequency, cycles a second, of the hand, each (down, right).
    """

    start: tuple[float, float]
    velocity: tuple[float, float]
    field: float
    zoom: float
    shake: float
    sway: tuple[tuple[float, float], tuple[float, float]]

    def view(self, time_s: float) -> View:
        """What it sees at a time."""
        phase, frequency = map(np.array, self.sway)
        pace = 2 * np.pi * frequency
        angle = phase + pace * time_s
        steady = np.array(self.start) + np.array(self.velocity) * time_s
        return View(
            middle=steady + self.shake * np.sin(angle),
            velocity=np.array(self.velocity) + self.shake * pace * np.cos(angle),
            field=float(self.field * np.exp(self.zoom * time_s)),
            zoom=self.zoom,
        )


def sample_camera(rng: np.random.Generator, *, moves: bool) -> Camera:
    """A camera at rest, or one that pans, zooms or shakes."""
    move = str(rng.choice(list(MOVES), p=list(MOVES.values()))) if moves else ""
    field = float(rng.uniform(0.25, 0.9))
    speed = log_uniform(rng, *PAN_SPEEDS) * field if "pan" in move else 0.0
    down, right = near_an_axis(rng)
    zooms = float(rng.choice([-1, 1])) * log_uniform(rng, *ZOOM_RATES) if "zoom" in move else 0.0
    trembles = move == "shake" or (bool(move) and rng.random() < 0.2)
    return Camera(
        start=(float(rng.random()), float(rng.random())),
        velocity=(speed * down, speed * right),
        field=field,
        zoom=zooms,
        shake=log_uniform(rng, 0.002, 0.08 if move == "shake" else 0.01) if trembles else 0.0,
        sway=(
            (float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 2 * np.pi))),
            (float(rng.uniform(0.4, 1.2)), float(rng.uniform(0.4, 1.2))),
        ),
    )
