"""Which frames are sampled: those on the screen at the sampling instants.

Instants are first_pts + k / fps, where first_pts is that of the first frame on the screen in the
time that is asked for. A frame is on the screen from its own pts to the next frame's, half-open,
and the last one until its duration is over. A frame that holds several instants is sampled once.
All in exact numbers: no instant is lost to rounding, however long the video.
"""

from collections.abc import Callable
from fractions import Fraction

__all__ = ["Bounds", "InstantSampler"]

# Of a video whose first frame has this pts: where the asked time begins and ends, ticks; None:
# where the video does.
Bounds = Callable[[int], tuple[Fraction, Fraction | None]]


class InstantSampler:
    """Says of each frame whether it is sampled; asked about all of them, in their order.

    Attributes:
        first_pts: of the video's first frame; None before it.
        start_pts: of the first frame that was sampled; None before it.
        over_pts: of the first frame behind the time that is asked for; None before it.
    """

    def __init__(
        self, *, sample_fps: float, time_base: Fraction, bounds: Bounds | None = None
    ) -> None:
        """Set up for one video.

        Args:
            sample_fps: instants a second, taken as the decimal number it is written as.
            time_base: seconds a pts tick.
            bounds: the time that is asked for; None: all of it.
        """
        self._instants_per_tick = Fraction(str(sample_fps)) * time_base
        self._bounds = bounds
        self._begin: Fraction | None = None
        self._end: Fraction | None = None
        self.first_pts: int | None = None
        self.start_pts: int | None = None
        self.over_pts: int | None = None

    def holds_instant(self, pts: int, next_pts: int) -> bool:
        """Whether an instant lies in [pts, next_pts)."""
        if self.first_pts is None:
            self.first_pts = pts
            if self._bounds is not None:
                self._begin, self._end = self._bounds(pts)
        if self._end is not None and pts >= self._end:
            self.over_pts = pts if self.over_pts is None else self.over_pts
            return False
        if self._begin is not None and next_pts <= self._begin:
            return False
        if self.start_pts is None:
            self.start_pts = pts
        per_tick = self._instants_per_tick
        elapsed, elapsed_next = pts - self.start_pts, next_pts - self.start_pts
        # The first instant not before the frame has the number ceil(elapsed * per_tick).
        number = -(-elapsed * per_tick.numerator // per_tick.denominator)
        return number * per_tick.denominator < elapsed_next * per_tick.numerator
