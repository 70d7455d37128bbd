"""Tables fetched by a thread, so that whoever waits for them can look up meanwhile."""

import threading
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

__all__ = ["RowStream"]

T = TypeVar("T")

# How long whoever waits does not look up, seconds.
LOOK_UP_S = 0.1

JOIN_S = 0.05


class RowStream(Generic[T]):
    """What a slow source gives, one after the other; at most one is fetched ahead."""

    def __init__(self, source: Generator[T, None, None], *, end: Callable[[], None]) -> None:
        """Begin to fetch.

        Args:
            source: gives the items, in a thread of its own.
            end: makes a source that is waiting come to its end; may be called more than once.
        """
        self._source, self._end = source, end
        self._fetched: Queue[tuple[T | None, BaseException | None]] = Queue(maxsize=1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fetch, name="row-stream", daemon=True)
        self._thread.start()

    def next(self, look_up: Callable[[], None]) -> T | None:
        """The next item, or None at the end.

        Args:
            look_up: called again and again while there is none; what it raises ends the waiting.

        Raises:
            BaseException: what the source raised.
        """
        while True:
            look_up()
            try:
                item, error = self._fetched.get(timeout=LOOK_UP_S)
            except Empty:
                continue
            if error is not None:
                raise error
            return item

    def close(self) -> None:
        """End the source, and wait until it has ended; what it had fetched is dropped."""
        self._closed.set()
        while self._thread.is_alive():
            self._end()
            with suppress(Empty):
                self._fetched.get_nowait()
            self._thread.join(JOIN_S)

    def _fetch(self) -> None:
        try:
            with closing(self._source):
                for item in self._source:
                    self._hand_over((item, None))
                    if self._closed.is_set():
                        return
            self._hand_over((None, None))
        except BaseException as error:
            self._hand_over((None, error))

    def _hand_over(self, item: tuple[T | None, BaseException | None]) -> None:
        while not self._closed.is_set():
            with suppress(Full):
                self._fetched.put(item, timeout=LOOK_UP_S)
                return
