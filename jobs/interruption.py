"""SIGINT and SIGTERM as one exception, raised only where the job looks for it.

A handler notes the signal and nothing more. Raised from the handler, an exception would come up
anywhere in the code of whoever happens to run, with a lock taken and not yet in any ``finally``;
so the job asks, while it waits, whether a signal has come.

The time from the first signal to the process's end is bounded by a thread that ends it the hard
way, whatever the job is at: a commit whose store does not answer, a cluster that does not let go.
That is as safe as any kill: what was committed stands, and the next run does the rest.
"""

import os
import signal
import sys
import threading
from queue import Empty, SimpleQueue
from types import FrameType

__all__ = ["Interrupted", "Interruption"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)

EXIT_UNFINISHED = 1

WHAT_A_RUN_LEAVES = (
    " (--stop-within-s); it is cut off. What was committed stands, and the same command goes on"
)


class Interrupted(BaseException):
    """A signal asked the job to end: not an error, so no ``except Exception`` swallows it."""


class Interruption:
    """Catches the signals for as long as it is entered.

    Attributes:
        received: the first signal that came.
    """

    def __init__(self, *, within_s: float, left: str = WHAT_A_RUN_LEAVES) -> None:
        """Nothing is caught yet.

        Args:
            within_s: longest time from the first signal to the end, seconds.
            left: said where the job is cut off: what stands, and what to do.
        """
        self.received: signal.Signals | None = None
        self._within_s, self._left = within_s, left

    def __enter__(self) -> "Interruption":
        # The one queue that a handler may put into, whatever it interrupts.
        self._news: SimpleQueue[signal.Signals | None] = SimpleQueue()
        self._timekeeper = threading.Thread(target=self._keep_time, name="notice", daemon=True)
        self._timekeeper.start()
        self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._news.put(None)
        self._timekeeper.join()

    def check(self) -> None:
        """Called where the job may end.

        Raises:
            Interrupted: if a signal has come.
        """
        if self.received is not None:
            raise Interrupted(self.received.name)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
            self._news.put(self.received)

    def _keep_time(self) -> None:
        """End the process if it has not ended itself in time after the first signal."""
        number = self._news.get()
        if number is None:
            return
        try:
            self._news.get(timeout=self._within_s)
        except Empty:
            sys.stderr.write(
                f"flexivideo: {number.name} came {self._within_s:g} s ago, and the run did not "
                f"come to its end within that time{self._left}\n"
            )
            sys.stderr.flush()
            os._exit(EXIT_UNFINISHED)
