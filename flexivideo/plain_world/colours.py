"""The colours of a rendered shot: from scenery's three layers to RGB.

Shapes: S side of a level of scenery, 3 layers or RGB.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Colours", "sample_colours"]

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

    def paint(self, layers_SS3: NDArray[np.float32]) -> NDArray[np.float32]:
        """A level of scenery as RGB, 0 to 1, [S, S, 3]."""
        value = 0.5 + self.contrast * (layers_SS3[..., 0] - 0.5)
        value **= np.float32(self.gamma)
        hue = self.hue + self.hue_span * (layers_SS3[..., 1] - 0.5)
        chroma = self.chroma * (0.5 + 0.5 * layers_SS3[..., 2])
        picture = np.empty_like(layers_SS3)
        for channel, third in enumerate((0, 2, 1)):
            turn = hue + np.float32(third / 3)
            turn -= np.floor(turn)
            wheel = np.clip(np.abs(6 * turn - 3) - 1, 0, 1)
            picture[..., channel] = value * (1 - chroma * (1 - wheel))
        picture *= np.float32(self.light / max(float(picture.mean()), 1e-3))
        return np.clip(picture, 0, 1, out=picture)


def sample_colours(rng: np.random.Generator) -> Colours:
    """Colours of all lights and hues, few or many."""
    begin = rng.choice(len(HUE_SHARES), p=HUE_SHARES)
    return Colours(
        contrast=float(rng.uniform(0.1, 1.0)),
        gamma=float(rng.uniform(0.6, 2.0)),
        hue=float(rng.uniform(HUE_PARTS[begin], HUE_PARTS[begin + 1])),
        hue_span=float(rng.choice([0.02, 0.08, 0.25, 0.6, 1.0], p=[0.35, 0.3, 0.2, 0.1, 0.05])),
        chroma=0.0 if rng.random() < 0.08 else float(rng.random() ** 0.8),
        light=float(rng.uniform(*LIGHT_PARTS[rng.integers(len(LIGHT_PARTS))])),
    )
