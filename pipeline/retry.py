"""The retry rule: what is tried again, and how often.

Three circles, from the inside out. Within a decode, a video that takes its child down is tried
``DecodeSettings.tries`` times and then quarantined. Within a run, a video whose rows did not all
arrive (a worker or a node died under it) goes into another pass. Between runs, what ended as
``unavailable`` is tried again, and what the limits of its decode ended, by a run of other limits;
everything else is done, until its content or the settings change.
"""

from pipeline.outcomes import Status

__all__ = ["ENDED_BY_LIMITS", "MAX_PASSES", "TRIED_AGAIN"]

# Passes of one run over what is still pending.
MAX_PASSES = 3

# Statuses that any later run tries again: the store may have recovered.
TRIED_AGAIN = frozenset({Status.UNAVAILABLE})

# Statuses that a later run of other limits tries again: too long, too large, too slow, too hungry.
ENDED_BY_LIMITS = frozenset({Status.SKIPPED, Status.QUARANTINED})
