"""A range of a video's time, where a manifest asks for that alone.

A range is indexed as if the file held only the frames that are on the screen in it; their times
stay those of the whole file, so a clip is found where its ``start_s`` says.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pipeline.signed_urls import shown

__all__ = ["TimeRange", "time_range"]

# A number of seconds as people and tools write it.
SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?|\.[0-9]+")

# Some thirty years; a longer range is a mistaken unit.
MOST_S = 1e9


@dataclass(frozen=True, kw_only=True)
class TimeRange:
    """Half-open, in seconds from the presentation of the video's first frame.

    Attributes:
        start_s: its beginning.
        end_s: its end, which is not in it; None: that of the video.
    """

    start_s: float
    end_s: float | None

    def bounds(self, first_pts: int, time_base: Fraction) -> tuple[Fraction, Fraction | None]:
        """Its beginning and end in ticks, exactly, of a video whose first frame has this pts."""

        def ticks(seconds: float) -> Fraction:
            return first_pts + Fraction(str(seconds)) / time_base

        return ticks(self.start_s), None if self.end_s is None else ticks(self.end_s)

    def share_of(self, duration_s: float) -> float:
        """How many seconds of a video of that length lie in it."""
        end_s = duration_s if self.end_s is None else min(self.end_s, duration_s)
        return max(0.0, end_s - self.start_s)

    def __str__(self) -> str:
        end = "the end" if self.end_s is None else f"{self.end_s:g} s"
        return f"{self.start_s:g} s to {end}"


def time_range(start: object, end: object) -> TimeRange | None:
    """The range that two fields, of a line or a row, ask for; None: they ask for the whole video.

    Raises:
        ValueError: if they are no numbers, or the end does not lie behind the beginning.
    """
    start_s, end_s = _seconds("start_s", start), _seconds("end_s", end)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise ValueError(
            f"the range is {start_s or 0.0:g} s to {end_s:g} s; expected an end behind its "
            f"beginning"
        )
    if not start_s and end_s is None:
        return None
    return TimeRange(start_s=start_s or 0.0, end_s=end_s)


def _seconds(name: str, value: object) -> float | None:
    if value is None or value == "" or value != value:  # NaN: a gap in a column of numbers
        return None
    seconds = -1.0
    if isinstance(value, str):
        seconds = float(value) if SECONDS.fullmatch(value.strip()) else -1.0
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        seconds = float(value)
    if not 0 <= seconds <= MOST_S:
        raise ValueError(f"{name} is {shown(value)}; expected seconds from the first frame, from 0")
    return seconds
