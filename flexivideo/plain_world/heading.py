"""Which way a shot moves: a rule on its motion, however that was found.

Motion is a set of places in the picture, the speed at each, and a weight, which is how much there
is to be seen there. Rendered shots give it exactly, from the camera and the things in front of it;
of footage it has to be measured, as by an optical flow.

Each place votes with its weight times its speed. A heading is had when most votes go one way: along
an axis of the picture, or away from its middle, or towards it.

Shapes: N places, H, W pixels, 3 RGB.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.words import NOWHERE

__all__ = ["CELL_PX", "Motion", "heading_of", "picture_weights"]

# Motion is looked at in cells of this side.
CELL_PX = 7

# Slower places are taken to rest: view heights a second. A thing at this speed crosses the picture
# in most of a minute.
RESTING_SPEED = 0.02

# Share of the votes from which a heading is had, from which it is clear, and its least lead over
# the next one; and the share below which it is clear that there is none.
HAD_SHARE, CLEAR_SHARE, CLEAR_LEAD, NONE_SHARE = 0.5, 0.65, 0.25, 0.35

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Motion of a shot, at any places and times.

    Attributes:
        places: from the middle of the picture, (down, right), view heights, [N, 2].
        speeds: (down, right), view heights a second, [N, 2].
        weights: how much is seen there, not below 0, [N].
    """

    places: Array
    speeds: Array
    weights: Array

    @classmethod
    def joined(cls, motions: list[Self]) -> Self:
        """The motion at all their places."""
        return cls(
            places=np.concatenate([motion.places for motion in motions]),
            speeds=np.concatenate([motion.speeds for motion in motions]),
            weights=np.concatenate([motion.weights for motion in motions]),
        )


def heading_of(motion: Motion) -> tuple[str, bool]:
    """The heading (of ``words.HEADINGS``), and whether it is outside the rule's margins."""
    shares = _shares(motion)
    if shares is None:
        return NOWHERE, True
    (second, _), (first, heading) = sorted((share, name) for name, share in shares.items())[-2:]
    if first >= HAD_SHARE:
        return heading, first >= CLEAR_SHARE and first - second >= CLEAR_LEAD
    return NOWHERE, first < NONE_SHARE


def _shares(motion: Motion) -> dict[str, float] | None:
    """Share of the votes for each way, -1 to 1; None where everything rests."""
    speed = np.hypot(*motion.speeds.T)
    weights = np.where(speed > RESTING_SPEED, motion.weights, 0.0)
    total = weights @ speed
    if total <= 0:
        return None
    down, right = weights @ motion.speeds / total
    # What a common way leaves over: else a thing on its way out of the picture would come closer.
    beyond = motion.speeds - weights @ motion.speeds / weights.sum()
    distance = np.maximum(np.hypot(*motion.places.T), 1e-9)[:, None]
    outwards = float(weights @ (beyond * motion.places / distance).sum(axis=1) / total)
    return {
        "left": float(-right),
        "right": float(right),
        "up": float(-down),
        "down": float(down),
        "closer": outwards,
        "away": -outwards,
    }


def picture_weights(frame_HW3: NDArray[np.uint8]) -> Array:
    """How much is to be seen in each cell of a frame: mean step between neighbours, grey levels."""
    # Sums in place of means over short axes, which numpy takes one by one.
    luma = np.einsum("hwc->hw", frame_HW3.astype(np.float32)) / 3
    steps = np.zeros_like(luma)
    steps[1:] += np.abs(np.diff(luma, axis=0))
    steps[:, 1:] += np.abs(np.diff(luma, axis=1))
    rows, columns = (side // CELL_PX for side in luma.shape)
    cells = steps[: rows * CELL_PX, : columns * CELL_PX]
    sums = cells.reshape(rows, CELL_PX, -1).sum(axis=1).reshape(rows, columns, CELL_PX).sum(axis=2)
    return sums.astype(np.float64) / CELL_PX**2
