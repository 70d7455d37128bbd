"""The retry rule: what is tried again, and how often.

Three circles, from the inside out. Within a decode, a video that takes its child down is tried
``DecodeSettings.tries`` times and then quarantined. Within a run, a video whose rows did not all
arrive (a worker or a node died under it) goes into another pass. Between runs, what the store or
the model was at fault for is tried again, and what the limits of its decode ended, by a run of
other limits; everything else is done, until its content or the settings change.
"""

from pipeline.outcomes import ErrorKind, Status

__all__ = ["ENDED_BY_LIMITS", "MAX_PASSES", "NO_LIMITS", "TRIED_AGAIN"]

# Passes of one run over what is still pending.
MAX_PASSES = 3

# Statuses and error kinds that any later run tries again: the store, or the machine that the model
# ran on, may have recovered.
TRIED_AGAIN = frozenset({Status.UNAVAILABLE, ErrorKind.MODEL_ERROR})

# ... and those that a later run of other limits does: too long, too large, too slow, too hungry.
ENDED_BY_LIMITS = frozenset({Status.SKIPPED, Status.QUARANTINED, ErrorKind.OUT_OF_MEMORY})

# What stands for the limits of a video that was lost with its workers: those of no run, so that any
# later run tries it again.
NO_LIMITS = "limits-none"
