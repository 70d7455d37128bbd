"""SIGINT and SIGTERM as one exception, raised only where it is safe.

A signal that comes while the job is at work (in a commit, say) is kept until the job waits for
rows; one that comes while it waits is raised at once.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupted", "Interruption"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asked the job to end: not an error, so no ``except Exception`` swallows it."""


class Interruption:
    """Catches the signals for as long as it is entered."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._waiting = False

    def __enter__(self) -> "Interruption":
        self._previous = {number: signal.getsignal(number) for number in SIGNALS}
        self.catch()
        return self

    def catch(self) -> None:
        """Catch the signals again: Ray sets a handler of its own for SIGTERM when it starts."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """In this block a library may set handlers of its own that end the process by SystemExit.

        Ray does on its start; such an end becomes :class:`Interrupted`, and a signal that came
        before, or the library's handler kept from us, is ours again afterwards.
        """
        try:
            yield
        except SystemExit as error:
            self.received = signal.SIGTERM
            raise Interrupted(self.received.name) from error
        finally:
            self.catch()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """In this block a signal, also one that came before, raises :class:`Interrupted`."""
        self._waiting = True
        try:
            if self.received is not None:
                raise Interrupted(self.received.name)
            yield
        finally:
            self._waiting = False

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)
        if self._waiting:
            raise Interrupted(self.received.name)
