"""Totals of a listing from a sample of it, each with its error.

Two steps, as the sample was drawn: of headers, whose videos stand for ``weight`` others each and
are extrapolated by their bytes, which the listing tells of all; and of stretches, which lie at even
distances on the time of these videos, so that a stretch stands for as many seconds as any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Estimate", "header_total", "stretch_total"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number that was not counted.

    Attributes:
        value: what is expected.
        error: its standard error; 0 for what is known.
    """

    value: float
    error: float = 0.0

    @property
    def relative(self) -> float:
        """The error as a share of the value; 0 where that is nothing."""
        return self.error / self.value if self.value else 0.0

    def times(self, factor: float) -> "Estimate":
        """In another unit."""
        return Estimate(value=self.value * factor, error=self.error * factor)

    def plus(self, other: "Estimate") -> "Estimate":
        """The sum of two whose errors have nothing to do with each other."""
        error = float(np.hypot(self.error, other.error))
        return Estimate(value=self.value + other.value, error=error)

    def to_json(self) -> dict[str, float]:
        """Ready for ``json.dumps``."""
        return {"value": self.value, "error": self.error}


def header_total(
    values: Sequence[float], weights: Sequence[float], sizes: Sequence[float], total_size: float
) -> Estimate:
    """Total of what is known of each video of the sample.

    Args:
        values: of the sampled videos.
        weights: how many videos each stands for.
        sizes: what is like the values and known of all, such as bytes; or all 1.
        total_size: its total over the listing.
    """
    if not len(values):
        return Estimate(value=0.0)
    value, weight, size = (np.asarray(column, float) for column in (values, weights, sizes))
    sampled_size = float(weight @ size)
    ratio = float(weight @ value) / sampled_size if sampled_size else 0.0
    scale = total_size / sampled_size if sampled_size else 1.0
    # Unbiased under priority sampling, whose draws are uncorrelated.
    variance = float((weight * (weight - 1)) @ (value - ratio * size) ** 2)
    return Estimate(value=float(weight @ value) * scale, error=scale * variance**0.5)


def stretch_total(
    values: Sequence[float], sizes: Sequence[float], total_size: Estimate, *, seen_share: float
) -> Estimate:
    """Total of what was seen of stretches, in their order on the time that they lie on.

    Args:
        values: of the stretches, a second.
        sizes: what is like the values and known by headers, a second of the stretch's video.
        total_size: its total.
        seen_share: how much of all was seen, 0 to 1: at 1 there is no error.
    """
    value, size = np.asarray(values, float), np.asarray(sizes, float)
    number, mean_size = len(value), float(size.mean()) if len(size) else 0.0
    if not number or not mean_size:
        return Estimate(value=0.0)
    ratio = float(value.mean()) / mean_size
    total = ratio * total_size.value
    if number == 1:
        return Estimate(value=total, error=total)
    # By neighbours: stretches at even distances are better than such that fall where they like.
    steps = np.diff(value - ratio * size)
    variance = float(steps @ steps) / (2 * (number - 1)) / number * (1 - seen_share)
    own = variance**0.5 / mean_size * total_size.value
    return Estimate(value=total, error=float(np.hypot(own, total * total_size.relative)))
