"""The parent's side of a decode child: started, watched, killed, replaced.

The deadline is on progress and runs only while this side waits: a child that is not read from may
take its time, one that is waited for must show a sign of life within ``progress_timeout_s``. A file
can be made so that signs of life never end, so all waiting for one has an end as well:
``decode_timeout_s``.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa

from pipeline.decode_child import BEAT, DONE, EXIT_OUT_OF_MEMORY, FAILED, HEADER_BYTES, ROWS
from pipeline.decode_plan import DecodePlan
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef

__all__ = ["ChildDied", "DecodeChild"]

READ_BYTES = 1 << 20

# Starting an interpreter on a machine under load takes its time, and says nothing of any video.
START_TIMEOUT_S = 120.0
START_TRIES = 3

# A child that has closed its pipe is on its way out; one that stays is helped.
EXIT_GRACE_S = 5.0

# The memory limit counts addresses, so nothing may reserve them by the gigabyte: neither stacks of
# thread pools sized by the machine nor arenas of allocators.
LEAN = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
}

# The child runs its parent's code: not a folder called "pipeline" where the job was started, nor
# another release that is installed.
DEFAULT_COMMAND = (sys.executable, "-P", "-m", "pipeline.decode_child")
CODE_ROOT = str(Path(__file__).parents[1])


def _search_path() -> str:
    return os.pathsep.join(filter(None, (CODE_ROOT, os.environ.get("PYTHONPATH"))))


class ChildDied(Exception):
    """The child is gone, by its own doing or by ours.

    Attributes:
        error_kind: crashed, timed_out or out_of_memory.
        seen: what was seen of it, in words.
    """

    def __init__(self, error_kind: ErrorKind, seen: str) -> None:
        super().__init__(error_kind, seen)
        self.error_kind, self.seen = error_kind, seen


class DecodeChild:
    """One decode child at a time, started when it is first needed."""

    def __init__(self, plan: DecodePlan, command: Sequence[str] = DEFAULT_COMMAND) -> None:
        self._plan, self._plan_json, self._command = plan, plan.to_json(), tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._replies = -1
        self._unread = bytearray()

    def rows(self, ref: VideoRef, attempt: str, *, n_tries: int = 1) -> Iterator[pa.Table]:
        """Rows of one video as they come; leaving early ends the child.

        Raises:
            ChildDied: if the child crashed, hung, ran out of memory or met what nobody foresaw.
            RuntimeError: if no child can be started, which no video is to blame for.
        """
        return self._tables(ref, attempt=attempt, n_tries=n_tries)

    def glimpse(self, ref: VideoRef, place: float | None) -> Iterator[pa.Table]:
        """A look at a place of one video, see ``pipeline.glimpse``; raises as :meth:`rows`."""
        return self._tables(ref, place=place)

    def _tables(self, ref: VideoRef, **task: object) -> Iterator[pa.Table]:
        self._ensure_started()
        limits, finished = self._plan.decode, False
        wait = _Wait(at_once_s=limits.progress_timeout_s, in_all_s=limits.decode_timeout_s)
        try:
            self._send({"plan": self._plan_json, "ref": asdict(ref)} | task, wait)
            while True:
                kind, content = self._receive(wait)
                if kind == ROWS:
                    yield pa.ipc.open_stream(pa.py_buffer(content)).read_all()
                elif kind == DONE:
                    finished = True
                    return
                elif kind == FAILED:
                    finished = True
                    raise ChildDied(ErrorKind.CRASHED, f"decoding raised {content.decode()}")
                elif kind != BEAT:
                    raise RuntimeError(f"the decode child sent an unknown reply {kind!r}")
        finally:
            if not finished:
                self.close()

    def close(self) -> None:
        """End the child, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
            os.close(self._replies)
        self._process, self._replies, self._unread = None, -1, bytearray()

    def _ensure_started(self) -> None:
        """A child that is ready for a task."""
        if self._process is not None and self._process.poll() is None:
            return
        for number in range(1, START_TRIES + 1):
            self.close()
            self._spawn()
            try:
                self._receive(_Wait(at_once_s=START_TIMEOUT_S, in_all_s=START_TIMEOUT_S))
                return
            except ChildDied as death:
                self.close()
                if number == START_TRIES:
                    raise RuntimeError(
                        f"no decode child could be started in {START_TRIES} tries: {death.seen}; "
                        f"expected {' '.join(self._command)!r} to run under memory_limit_mib "
                        f"{self._plan.decode.memory_limit_mib}: see what it wrote to stderr"
                    ) from death

    def _spawn(self) -> None:
        self._replies, reply_fd = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*self._command, str(reply_fd), str(self._plan.decode.memory_limit_mib)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[reply_fd],
                env=os.environ | LEAN | {"PYTHONPATH": _search_path()},
            )
        finally:
            os.close(reply_fd)

    def _send(self, task: dict[str, object], wait: "_Wait") -> None:
        line = json.dumps(task).encode() + b"\n"
        try:
            self._process.stdin.write(line)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            raise self._death(wait) from None

    def _receive(self, wait: "_Wait") -> tuple[bytes, bytes]:
        header = self._read(HEADER_BYTES, wait)
        return header[:1], self._read(int.from_bytes(header[1:]), wait)

    def _read(self, n_bytes: int, wait: "_Wait") -> bytes:
        poll = select.poll()  # not select: a worker may hold more than 1,024 descriptors
        poll.register(self._replies, select.POLLIN)
        while len(self._unread) < n_bytes:
            wait.until_there_is_something(poll)
            chunk = os.read(self._replies, READ_BYTES)
            if not chunk:
                raise self._death(wait)
            self._unread += chunk
        content = bytes(self._unread[:n_bytes])
        del self._unread[:n_bytes]
        return content

    def _death(self, wait: "_Wait") -> ChildDied:
        """What the end of a child that closed its pipe means."""
        code = self._exit_code()
        after = wait.so_far()
        if code == EXIT_OUT_OF_MEMORY:
            limit_mib = self._plan.decode.memory_limit_mib
            return ChildDied(
                ErrorKind.OUT_OF_MEMORY,
                f"the decoder exceeded its memory limit of {limit_mib} MiB, {after}",
            )
        if code == -signal.SIGKILL:
            return ChildDied(
                ErrorKind.OUT_OF_MEMORY,
                f"the decoder was killed from outside, as a machine short of memory does, {after}",
            )
        if code < 0:
            name = signal.Signals(-code).name
            return ChildDied(ErrorKind.CRASHED, f"the decoder died of {name}, {after}")
        return ChildDied(ErrorKind.CRASHED, f"the decoder exited with code {code}, {after}")

    def _exit_code(self) -> int:
        if self._process is None:
            return 0
        try:
            return self._process.wait(EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # not SIGKILL, which means lack of memory
            self._process.wait()
            return -signal.SIGABRT


@dataclass(kw_only=True)
class _Wait:
    """How long a child is waited for; the time that its reader takes is not counted.

    Attributes:
        at_once_s: longest from one sign of life to the next.
        in_all_s: longest for all of a task.
        waited_s: so far.
        began_s: when the task was begun.
    """

    at_once_s: float
    in_all_s: float
    waited_s: float = 0.0
    began_s: float = field(default_factory=time.monotonic)

    def until_there_is_something(self, poll: select.poll) -> None:
        """Wait for it.

        Raises:
            ChildDied: timed_out.
        """
        begun_s = time.monotonic()
        is_there = poll.poll(min(self.at_once_s, max(0.0, self.in_all_s - self.waited_s)) * 1000)
        self.waited_s += time.monotonic() - begun_s
        if self.waited_s >= self.in_all_s:
            seen = f"the decoder was waited for {self.in_all_s:g} s in all and was not through"
        elif not is_there:
            seen = f"the decoder gave no packet or frame for {self.at_once_s:g} s"
        else:
            return
        raise ChildDied(ErrorKind.TIMED_OUT, f"{seen}, {self.so_far()}")

    def so_far(self) -> str:
        """The time since the task was begun, in words."""
        return f"{time.monotonic() - self.began_s:.1f} s after it began"
