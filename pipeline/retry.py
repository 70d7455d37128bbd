"""The retry rule: what is tried again, and how often.

Three circles, from the inside out. Within a decode, a video that takes its child down is tried
``DecodeSettings.tries`` times and then quarantined. Within a run, a video whose rows did not all
arrive (a worker or a node died under it) goes into another pass. Between runs, what ended as
``unavailable`` is tried again; everything else is done, until its content or the settings change.
"""

from pipeline.outcomes import Status

__all__ = ["MAX_PASSES", "TRIED_AGAIN", "is_done"]

# Passes of one run over what is still pending.
MAX_PASSES = 3

# Statuses that a later run tries again: the store may have recovered.
TRIED_AGAIN = frozenset({Status.UNAVAILABLE})


def is_done(status: str) -> bool:
    """Whether a video of this status is left alone by later runs."""
    return Status(status) not in TRIED_AGAIN
