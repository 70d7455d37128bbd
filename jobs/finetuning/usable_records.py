"""A run none of whose records can be used ends early, and not as a model that learned nothing."""

from collections.abc import Iterable

from flexivideo.errors import TrainingError
from pipeline.training_records import LeftOut

__all__ = ["UsableRecords"]

# So many that were left out, and none that was not: there is something wrong with all of them.
MANY_RECORDS = 1000


class UsableRecords:
    """Watches the steps until one has learned from something."""

    def __init__(self, n_records: int, *, are_known: bool) -> None:
        """Begin.

        Args:
            n_records: how many there are.
            are_known: whether steps before have learned already.
        """
        self._enough, self._are_known = min(n_records, MANY_RECORDS), are_known
        self._left_out: dict[str, LeftOut] = {}

    def see(self, left_out: Iterable[LeftOut], *, has_learned: bool, is_last: bool) -> None:
        """What became of a step's records.

        Raises:
            TrainingError: if not one of all records, or of the first thousand, can be used.
        """
        self._are_known |= has_learned
        if self._are_known:
            return
        self._left_out |= {record.record_id: record for record in left_out}
        if is_last or len(self._left_out) >= self._enough:
            first = next(
                (f"{r.record_id}: {r.reason}" for r in self._left_out.values()), "none came"
            )
            raise TrainingError(
                f"none of {len(self._left_out)} records can be used (the first, {first}); expected "
                f"media that can be read: look at --media-root"
            )
