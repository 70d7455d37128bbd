"""What numbers a person may set: one rule and one sentence for all settings."""

from flexivideo.errors import SettingsError

__all__ = ["ABOVE_ZERO", "AT_LEAST_ONE", "NOT_BELOW_ZERO", "in_ranges"]

Range = tuple[float, float]

# Any number above zero that is one: neither nan nor infinity.
ABOVE_ZERO: Range = (5e-324, 1e300)

NOT_BELOW_ZERO: Range = (0.0, 1e300)

AT_LEAST_ONE: Range = (1, 2**31 - 1)


def in_ranges(settings: object, **ranges: Range) -> None:
    """See that each named attribute that is set lies in its range, both ends included.

    Raises:
        SettingsError: for the first one that does not.
    """
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            raise SettingsError(f"{name} is {value}; expected {_words(low, high)}")


def _words(low: float, high: float) -> str:
    if (low, high) == ABOVE_ZERO:
        return "a finite number above zero"
    if (low, high) == NOT_BELOW_ZERO:
        return "a finite number, zero or above"
    return f"a number from {low:,.12g} to {high:,.12g}"
