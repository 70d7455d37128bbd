"""Back and forth: how an unsteady hand moves a camera, and how things move without going anywhere.

Over a part of a period a sway cannot be told from a way; over whole periods it leads nowhere.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.chance import log_uniform

__all__ = ["NO_SWAY", "Sway", "sample_sway"]

Array = NDArray[np.float64]
Pair = tuple[float, float]

# Cycles a second.
FREQUENCIES = (0.12, 1.2)


@dataclass(frozen=True, kw_only=True)
class Sway:
    """Two sines, (down, right).

    Attributes:
        size: amplitudes, in the mover's unit of length.
        phase: radians, at time 0.
        frequency: cycles a second.
    """

    size: Pair
    phase: Pair = (0.0, 0.0)
    frequency: Pair = (1.0, 1.0)

    def offset(self, time_s: float) -> Array:
        """Where it has moved to at a time, [2]."""
        return np.array(
            [
                size * math.sin(phase + math.tau * frequency * time_s)
                for size, phase, frequency in zip(
                    self.size, self.phase, self.frequency, strict=True
                )
            ]
        )

    def velocity(self, time_s: float) -> Array:
        """How it moves at a time, a second, [2]."""
        return np.array(
            [
                size * math.tau * frequency * math.cos(phase + math.tau * frequency * time_s)
                for size, phase, frequency in zip(
                    self.size, self.phase, self.frequency, strict=True
                )
            ]
        )


NO_SWAY = Sway(size=(0.0, 0.0))


def sample_sway(rng: np.random.Generator, smallest: float, largest: float) -> Sway:
    """A sway along any line or loop, whose larger amplitude lies between two."""
    size, flat = log_uniform(rng, smallest, largest), float(rng.uniform(0.0, 1.0))
    down, right = (size, size * flat)[:: int(rng.choice([-1, 1]))]
    frequency = log_uniform(rng, *FREQUENCIES)
    return Sway(
        size=(down, right),
        phase=(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 2 * np.pi))),
        frequency=(frequency * float(rng.uniform(0.8, 1.25)), frequency),
    )
