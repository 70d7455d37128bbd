"""Every error that this project raises on purpose.

    FlexiVideoError
    ├── SettingsError        the person at the keyboard must change something; the run stops
    ├── ModelError           a checkpoint cannot be used as asked
    ├── VideoRejected        the video is at fault; trying again cannot help
    ├── SourceUnavailable    the store is at fault; a later run tries again
    ├── StoreError           a store refused or failed; also an OSError, as a disk's failures are
    ├── LeaseHeld            another run is writing this root; wait, or choose another
    ├── LeaseLost            another run took this root; nothing more may be committed
    ├── WorkersFailed        the cluster gave up; what was committed stays, a later run goes on
    ├── TrainingError        workers failed; the run goes on when it is started again
    ├── DatasetError         a root does not hold what its contract says
    └── PartDamaged          one file of a dataset is damaged or not ours; nothing is done over it

Arguments all go to ``Exception.__init__``, so that each error survives the way between processes.
"""

__all__ = [
    "DatasetError",
    "FlexiVideoError",
    "LeaseHeld",
    "LeaseLost",
    "ModelError",
    "PartDamaged",
    "SettingsError",
    "SourceUnavailable",
    "StoreError",
    "TrainingError",
    "VideoRejected",
    "WorkersFailed",
]


class FlexiVideoError(Exception):
    """Base of all errors of this project: catch it to catch them all."""


class SettingsError(FlexiVideoError):
    """A setting, flag or path cannot be used; the message says which and what would do."""


class ModelError(FlexiVideoError):
    """A checkpoint, its configuration or its input does not fit; the message says where."""


class _OfAKind(FlexiVideoError):
    """What ends as a row of its own: a kind of the closed set, and a sentence."""

    def __init__(self, error_kind: str, detail: str) -> None:
        super().__init__(error_kind, detail)
        self.error_kind = error_kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} [{self.error_kind}]"


class VideoRejected(_OfAKind):
    """The video is at fault and trying again cannot help.

    Args:
        error_kind: one of the closed set in ``pipeline.outcomes.ErrorKind``.
        detail: what was met, what was expected.
    """


class SourceUnavailable(_OfAKind):
    """The store refused, lost or changed the object; a later run tries again.

    Args:
        error_kind: ``source_missing``, ``source_denied``, ``source_changed``
            or ``source_unavailable``.
        detail: what the store said.
    """


class StoreError(_OfAKind, OSError):
    """An object store refused, lost or changed an object, or could not be reached.

    Also an OSError, so that who writes a dataset need not know what it is written to.

    Args:
        error_kind: as for :class:`SourceUnavailable`.
        detail: what the store said.
    """


class LeaseHeld(FlexiVideoError):
    """Another run is writing this root: wait for it to end, or choose another root."""


class LeaseLost(FlexiVideoError):
    """Another holder took this root's lease: nothing of this run may be committed any more."""


class WorkersFailed(FlexiVideoError):
    """Workers failed and the cluster gave up; what was committed stays, a later run goes on."""


class TrainingError(FlexiVideoError):
    """Training workers failed; the message says how, and the run can be started again."""


class DatasetError(FlexiVideoError):
    """A root is not a dataset of ours, or is broken."""


class PartDamaged(FlexiVideoError):
    """A file of a dataset cannot be read, or has other columns than its table; it is named.

    It is no :class:`DatasetError`, which may mean that there is nothing yet: what is there already
    must not be done again into a damaged dataset.
    """
