"""Which frames are sampled: those on the screen at the sampling instants.

Instants are first_pts + k / fps. A frame is on the screen from its own pts to the next frame's,
half-open, and the last one until its duration is over. A frame that holds several instants is
sampled once. All in integers: no instant is lost to rounding, however long the video.
"""

from fractions import Fraction

__all__ = ["InstantSampler"]


class InstantSampler:
    """Says of each frame whether it holds a sampling instant."""

    def __init__(self, *, sample_fps: float, time_base: Fraction) -> None:
        """Set up for one video.

        Args:
            sample_fps: instants a second, taken as the decimal number it is written as.
            time_base: seconds a pts tick.
        """
        self._instants_per_tick = Fraction(str(sample_fps)) * time_base
        self._first_pts: int | None = None

    def holds_instant(self, pts: int, next_pts: int) -> bool:
        """Whether an instant lies in [pts, next_pts); the first frame asked about is instant 0."""
        if self._first_pts is None:
            self._first_pts = pts
        per_tick = self._instants_per_tick
        elapsed, elapsed_next = pts - self._first_pts, next_pts - self._first_pts
        # The first instant not before the frame has the number ceil(elapsed * per_tick).
        number = -(-elapsed * per_tick.numerator // per_tick.denominator)
        return number * per_tick.denominator < elapsed_next * per_tick.numerator
