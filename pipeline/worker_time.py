"""What a worker's time went to: between its rows, without what their reader took."""

import time
from dataclasses import dataclass, field

__all__ = ["Stopwatch", "WorkerTime"]


@dataclass(frozen=True, kw_only=True)
class WorkerTime:
    """Time of one worker.

    Attributes:
        busy_s: passed while it worked or waited for its source.
        cpu_s: of its process, all threads together.
    """

    busy_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(kw_only=True)
class Stopwatch:
    """Time since it was made or started again."""

    began_s: float = field(default_factory=time.perf_counter)
    began_cpu_s: float = field(default_factory=time.process_time)

    def restart(self) -> None:
        """Forget what has passed."""
        self.began_s, self.began_cpu_s = time.perf_counter(), time.process_time()

    def read(self) -> WorkerTime:
        """What has passed."""
        return WorkerTime(
            busy_s=time.perf_counter() - self.began_s,
            cpu_s=time.process_time() - self.began_cpu_s,
        )
