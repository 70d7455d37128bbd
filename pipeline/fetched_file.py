"""A file of the bytes that are somewhere else: fetched ahead of the reader, each of them once.

Blocks come in parallel, a few before they are asked for, and are kept in a temporary file that has
no name, so that a decoder may go back and forth and nothing is left behind. What does not fit there
is the caller's to refuse: the file grows to the size of the object.
"""

import io
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from flexivideo.errors import SourceUnavailable, StoreError
from pipeline.outcomes import ErrorKind

__all__ = ["FetchedFile", "Reading", "n_requests_of"]

# Measured in infra/benchmarks/reading.py: what is no larger comes whole, by one request; of the
# rest, eight at a time fill the line, and larger ones take more memory than time.
BLOCK_BYTES, BLOCKS_AHEAD = 8 << 20, 8

# Decoders ask for little at a time.
BUFFER_BYTES = 1 << 20

# How often somebody who waits for bytes shows that it is alive.
BEAT_S = 0.25

Fetch = Callable[[int, int], "Future[bytes]"]


@dataclass(kw_only=True)
class Reading:
    """How a file is fetched, and what that took so far; by default as one that is read whole.

    Attributes:
        block_bytes: of a request.
        blocks_ahead: blocks that are asked for at a time, the one that is read included.
        n_requests: blocks that were asked for.
        n_bytes: of these.
    """

    block_bytes: int = field(default_factory=lambda: BLOCK_BYTES)
    blocks_ahead: int = field(default_factory=lambda: BLOCKS_AHEAD)
    n_requests: int = 0
    n_bytes: int = 0


def n_requests_of(size_bytes: int) -> int:
    """Requests that reading a whole file of this size takes."""
    return -(-size_bytes // BLOCK_BYTES)


class FetchedFile(io.RawIOBase):
    """A seekable, readable file."""

    def __init__(
        self,
        fetch: Fetch,
        size_bytes: int,
        beat: Callable[[], None],
        *,
        reading: Reading | None = None,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Ask for the first blocks.

        Args:
            fetch: gives the bytes from one place to another, not included, some time, or a
                StoreError.
            size_bytes: how many there are.
            beat: called while somebody waits.
            reading: in which steps; what it takes is counted there.
            done: called when nothing more will be fetched.

        Raises:
            SourceUnavailable: if there is no folder for temporary files.
        """
        super().__init__()
        self._fetch, self._size_bytes, self._beat, self._done = fetch, size_bytes, beat, done
        self._reading = reading or Reading()
        try:
            self._kept = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this file
        except OSError as error:
            super().close()  # ours has nothing to let go of yet
            raise self._no_room(error) from error
        self._n_blocks = -(-size_bytes // self._reading.block_bytes)
        self._coming: dict[int, Future[bytes]] = {}
        self._here: set[int] = set()
        self._place = 0
        self._ask_from(0)

    def buffered(self) -> BinaryIO:
        """As decoders want it."""
        return io.BufferedReader(self, BUFFER_BYTES)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; nothing is fetched before it is read."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"place {start + offset} lies before the first byte")
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of a block.

        Raises:
            SourceUnavailable: if the bytes cannot be had, or not be kept.
        """
        block_bytes = self._reading.block_bytes
        block, within = divmod(self._place, block_bytes)
        if block >= self._n_blocks:
            return 0
        self._ask_from(block)
        self._wait_for(block)
        count = min(len(buffer), block_bytes - within, self._size_bytes - self._place)
        content = os.pread(self._kept.fileno(), count, self._place)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def close(self) -> None:
        """Let go of what is still coming."""
        if not self.closed:
            for future in self._coming.values():
                future.cancel()
            self._done()
            self._kept.close()
        super().close()

    def _ask_from(self, block: int) -> None:
        """The block and those after it, if they are not here or on their way."""
        reading = self._reading
        for index in range(block, min(block + reading.blocks_ahead, self._n_blocks)):
            if index not in self._here and index not in self._coming:
                start = index * reading.block_bytes
                end = min(start + reading.block_bytes, self._size_bytes)
                self._coming[index] = self._fetch(start, end)
                reading.n_requests += 1
                reading.n_bytes += end - start

    def _wait_for(self, block: int) -> None:
        while block not in self._here:
            try:
                content = self._coming[block].result(timeout=BEAT_S)
            except NotYet:
                self._beat()
                continue
            except CancelledError as error:
                raise ValueError("the file is closed") from error
            except StoreError as error:
                del self._coming[block]  # whoever reads on asks again
                raise SourceUnavailable(error.error_kind, error.detail) from error
            self._keep(block, content)
        # Others that have come in the meantime need not stay in memory.
        for index in [index for index, future in self._coming.items() if _is_here(future)]:
            self._keep(index, self._coming[index].result())

    def _keep(self, block: int, content: bytes) -> None:
        place, rest = block * self._reading.block_bytes, memoryview(content)
        try:
            while rest:  # a disk that is nearly full takes a part, and says so the next time
                n_taken = os.pwrite(self._kept.fileno(), rest, place)
                place, rest = place + n_taken, rest[n_taken:]
        except OSError as error:
            raise self._no_room(error) from error
        del self._coming[block]
        self._here.add(block)

    def _no_room(self, error: OSError) -> SourceUnavailable:
        return SourceUnavailable(
            ErrorKind.SOURCE_UNAVAILABLE,
            f"the folder for temporary files cannot take a video of {self._size_bytes} bytes: "
            f"{error.strerror}; expected room for one such video a decode worker: make room, or "
            f"set TMPDIR to a larger disk",
        )


def _is_here(future: "Future[bytes]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
