"""The camera of a rendered shot: where it looks at any time, and how that makes things move."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.chance import log_uniform, near_an_axis
from flexivideo.plain_world.sway import NO_SWAY, Sway, sample_sway

__all__ = ["Camera", "View", "sample_camera"]

Array = NDArray[np.float64]

# How a camera that moves does it, and how likely.
MOVES = {"pan": 0.38, "zoom": 0.32, "pan and zoom": 0.05, "sway": 0.25}

# View heights a second, and natural log of the field a second.
PAN_SPEEDS = (0.02, 1.2)
ZOOM_RATES = (0.03, 0.4)

# Amplitudes, view heights: of a hand that leads a camera nowhere, and of one on its way.
SWAYS, UNSTEADINESS = (0.01, 0.2), (0.005, 0.03)


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
        sway: of the hand, view heights at time 0.
    """

    start: tuple[float, float]
    velocity: tuple[float, float]
    field: float
    zoom: float
    sway: Sway

    def view(self, time_s: float) -> View:
        """What it sees at a time."""
        steady = np.array(self.start) + np.array(self.velocity) * time_s
        return View(
            middle=steady + self.field * self.sway.offset(time_s),
            velocity=np.array(self.velocity) + self.field * self.sway.velocity(time_s),
            field=float(self.field * np.exp(self.zoom * time_s)),
            zoom=self.zoom,
        )


def sample_camera(rng: np.random.Generator, *, moves: bool) -> Camera:
    """A camera at rest, or one that pans, zooms or sways."""
    move = str(rng.choice(list(MOVES), p=list(MOVES.values()))) if moves else ""
    field = float(rng.uniform(0.25, 0.9))
    speed = log_uniform(rng, *PAN_SPEEDS) * field if "pan" in move else 0.0
    down, right = near_an_axis(rng)
    zooms = float(rng.choice([-1, 1])) * log_uniform(rng, *ZOOM_RATES) if "zoom" in move else 0.0
    sway = NO_SWAY
    if move == "sway" or (move and rng.random() < 0.2):
        sway = sample_sway(rng, *(SWAYS if move == "sway" else UNSTEADINESS))
    return Camera(
        start=(float(rng.random()), float(rng.random())),
        velocity=(speed * down, speed * right),
        field=field,
        zoom=zooms,
        sway=sway,
    )
