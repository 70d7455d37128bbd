"""What the pixels of a shot are: light, detail, colour and change, each a number and then a word.

The rule looks at the sampled frames at the size the model sees them, so rendered and real footage
are judged alike. Within a margin around each threshold recompression could turn the word, so there
it is not clear.

"Change" is what differs from one half second to the next, whether the camera moves, a thing, or the
light.

Shapes: T frames, H, W pixels, 3 RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.words import AMOUNTS, COLOURS, DETAILS, LIGHTS, STILL
from flexivideo.segmentation import frame_difference

__all__ = ["Measures", "measure", "words_of"]

# Mean luma, grey levels, and how far from a threshold a shot must be to be scored.
LIGHT_THRESHOLDS = (60.0, 110.0)
LIGHT_MARGIN = 8.0

# Mean luma step to the right plus mean luma step down, grey levels a pixel.
DETAIL_THRESHOLD = 9.0
DETAIL_RATIO = 1.25

# Mean frame difference (the paper's Delta, the unit of tau) over half a second.
AMOUNT_THRESHOLDS = (0.06, 0.25)
AMOUNT_RATIO = 1.3
AMOUNT_STEP_S = 0.5

# Below this mean chroma (largest less smallest channel, grey levels) all is grey; else the sector
# of the colour circle (degrees at which it begins) that holds most of the chroma.
GREY_CHROMA = 22.0
GREY_MARGIN = 6.0
SECTORS = {"red": 345, "orange": 18, "yellow": 45, "green": 70, "blue": 165, "purple": 260}
SECTOR_LEAD = 0.15
HUE_MARGIN_DEGREES = 6.0

# Codecs keep colour at half the resolution, so it is looked at in blocks of this side.
COLOUR_BLOCK_PX = 4

Times = Sequence[float] | NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What the rule looks at.

    Attributes:
        luma: mean, grey levels.
        luma_step: mean step to the right plus mean step down, grey levels a pixel.
        chroma: mean of largest less smallest channel, grey levels.
        hues: shares of the chroma by degree of hue, 360 of them.
        change: mean frame difference over half a second; None where no two frames are that close.
    """

    luma: float
    luma_step: float
    chroma: float
    hues: tuple[float, ...]
    change: float | None


def measure(frames_THWC: NDArray[np.uint8], times_s: Times) -> Measures:
    """What the rule looks at.

    Args:
        frames_THWC: the shot's sampled frames, uint8 [T,H,W,3], at the size the model sees.
        times_s: when each is shown, rising, seconds.

    Raises:
        ValueError: if there is no frame, or not one time a frame.
    """
    if not len(frames_THWC) or len(frames_THWC) != len(times_s):
        raise ValueError(
            f"{len(frames_THWC)} frames came with {len(times_s)} times; "
            f"expected at least one frame, and a time for each"
        )
    luma = frames_THWC.astype(np.float32) @ LUMA
    steps = [np.abs(np.diff(luma, axis=axis)) for axis in (1, 2)]
    chroma, hues = _chroma_and_hues(frames_THWC)
    return Measures(
        luma=float(luma.mean()),
        luma_step=float(sum(step.mean() for step in steps if step.size)),
        chroma=chroma,
        hues=hues,
        change=_change(frames_THWC, np.asarray(times_s, dtype=np.float64)),
    )


def words_of(measures: Measures) -> dict[str, tuple[str, bool]]:
    """The rule: words for light, detail, colour and amount, each with whether it is clear."""
    change = measures.change
    lit = int(np.searchsorted(LIGHT_THRESHOLDS, measures.luma, "right"))
    light_distance = min(abs(measures.luma - threshold) for threshold in LIGHT_THRESHOLDS)
    return {
        "light": (LIGHTS[lit], light_distance > LIGHT_MARGIN),
        "detail": _by_ratio(measures.luma_step, (DETAIL_THRESHOLD,), DETAIL_RATIO, DETAILS),
        "colour": _colour(measures),
        "amount": (STILL, False)
        if change is None
        else _by_ratio(change, AMOUNT_THRESHOLDS, AMOUNT_RATIO, AMOUNTS),
    }


def _by_ratio(
    value: float, thresholds: tuple[float, ...], ratio: float, words: tuple[str, ...]
) -> tuple[str, bool]:
    clear = all(value > threshold * ratio or value < threshold / ratio for threshold in thresholds)
    return words[int(np.searchsorted(thresholds, value, "right"))], clear


def _colour(measures: Measures) -> tuple[str, bool]:
    if measures.chroma < GREY_CHROMA:
        return COLOURS[0], measures.chroma < GREY_CHROMA - GREY_MARGIN
    winners, leads = zip(
        *(_sector(measures.hues, turn) for turn in (0, -HUE_MARGIN_DEGREES, HUE_MARGIN_DEGREES)),
        strict=True,
    )
    clear = (
        measures.chroma > GREY_CHROMA + GREY_MARGIN
        and len(set(winners)) == 1
        and min(leads) > SECTOR_LEAD
    )
    return winners[0], clear


def _sector(hues: tuple[float, ...], turn_degrees: float) -> tuple[str, float]:
    """The colour that holds most of the chroma if all hues were turned, and its lead."""
    names, starts = tuple(SECTORS), np.array(list(SECTORS.values()))
    # Degrees from the beginning of the first sector, so that the sectors run on without a wrap.
    degrees = (np.arange(len(hues)) + 0.5 + turn_degrees - starts[0]) % 360
    sector = np.searchsorted((starts - starts[0]) % 360, degrees, "right") - 1
    shares = np.bincount(sector, weights=hues, minlength=len(names))
    second, first = np.sort(shares)[-2:]
    return names[int(shares.argmax())], float(first - second)


def _chroma_and_hues(frames_THWC: NDArray[np.uint8]) -> tuple[float, tuple[float, ...]]:
    blocks = _block_means(frames_THWC.astype(np.float32))
    red, green, blue = np.moveaxis(blocks, -1, 0)
    largest = np.maximum(np.maximum(red, green), blue)
    chroma = largest - np.minimum(np.minimum(red, green), blue)
    safe = np.maximum(chroma, 1e-3)
    sixth = np.where(
        largest == red,
        (green - blue) / safe % 6,
        np.where(largest == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    degree = np.minimum((sixth * 60).astype(int), 359)
    weights = np.bincount(degree.ravel(), weights=chroma.ravel(), minlength=360)
    shares = weights / max(float(weights.sum()), 1e-9)
    return float(chroma.mean()), tuple(shares.tolist())


def _block_means(frames_THWC: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = frames_THWC.shape[1:3]
    side = min(COLOUR_BLOCK_PX, height, width)
    rows, columns = height // side, width // side
    kept = frames_THWC[:, : rows * side, : columns * side]
    # Line by line: numpy takes means over short axes one by one.
    lines = reduce(np.add, [kept[:, line::side] for line in range(side)])
    blocks = reduce(np.add, [lines[:, :, station::side] for station in range(side)])
    return blocks / np.float32(side**2)


def _change(frames_THWC: NDArray[np.uint8], times_s: NDArray[np.float64]) -> float | None:
    # Half a millisecond: sampled times are sums of fractions.
    later = np.searchsorted(times_s, times_s + AMOUNT_STEP_S - 5e-4)
    pairs = [
        (first, second)
        for first, second in enumerate(later)
        if second < len(times_s) and times_s[second] - times_s[first] < 2 * AMOUNT_STEP_S
    ]
    if not pairs:
        return None
    return float(np.mean([frame_difference(frames_THWC[j], frames_THWC[i]) for i, j in pairs]))
