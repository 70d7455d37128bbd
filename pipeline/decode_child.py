"""The process that decodes, so that a video can take nothing but this process down.

    python -m pipeline.decode_child REPLY_FD MEMORY_LIMIT_MIB

Tasks come on standard input, a line of JSON each: all of a video, or a look at a place of it.
Replies go to REPLY_FD as frames: one byte of kind, eight bytes of length (big-endian), content.
Kinds: BEAT, a packet or frame was decoded; ROWS, an Arrow IPC stream of one batch; DONE, the task
is over; FAILED, the worker's own fault, as text.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import BinaryIO

__all__ = ["BEAT", "DONE", "EXIT_OUT_OF_MEMORY", "FAILED", "ROWS", "serve"]

BEAT, ROWS, DONE, FAILED = b"B", b"R", b"D", b"F"
HEADER_BYTES = 9

# Beats further apart than this are passed on; the rest would only fill the pipe.
BEAT_INTERVAL_S = 0.25

EXIT_OUT_OF_MEMORY = 77
PR_SET_PDEATHSIG = 1
MIB = 2**20


def serve(tasks: BinaryIO, replies: BinaryIO) -> None:
    """Do one task after another until the input ends."""
    # Imported here, under the memory limit and with the signals set.
    import av.logging
    import pyarrow as pa

    from pipeline.decode_plan import DecodePlan
    from pipeline.glimpse import glimpse_rows
    from pipeline.records import VideoRef
    from pipeline.video_rows import video_rows

    av.logging.set_level(None)  # not PANIC: with decoder threads that can hang on leaving early
    last_beat_s = 0.0

    def reply(kind: bytes, content: bytes | memoryview = b"") -> None:
        replies.write(kind + len(content).to_bytes(HEADER_BYTES - 1))
        replies.write(content)
        replies.flush()

    def beat() -> None:
        nonlocal last_beat_s
        now_s = time.monotonic()
        if now_s - last_beat_s >= BEAT_INTERVAL_S:
            last_beat_s = now_s
            reply(BEAT)

    reply(BEAT)  # ready: from here on, silence means a hang
    # What keeps a child from starting is for people to read; what libav says of each broken packet
    # is in the outcome, counted.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    for line in tasks:
        task = json.loads(line)
        plan, ref = DecodePlan.from_json(task["plan"]), VideoRef.from_fields(task["ref"])
        if "place" in task:
            batches = glimpse_rows(ref, plan, task["place"], beat)
        else:
            batches = video_rows(ref, task["attempt"], plan, beat, n_tries=task["n_tries"])
        try:
            for batch in batches:
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch)
                reply(ROWS, memoryview(sink.getvalue()))
        except MemoryError:
            os._exit(EXIT_OUT_OF_MEMORY)  # nothing in this process can be relied on any more
        except Exception as error:
            reply(FAILED, f"{type(error).__name__}: {error}".encode())
        else:
            reply(DONE)


def _confine(memory_limit_mib: int) -> None:
    """Live under a memory limit, no longer than the parent, and deaf to the keyboard."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(0)
    limit = memory_limit_mib * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main() -> None:
    """Run with the two arguments of the module's docstring."""
    reply_fd, memory_limit_mib = map(int, sys.argv[1:3])
    _confine(memory_limit_mib)
    with os.fdopen(reply_fd, "wb", buffering=1 << 16) as replies:
        try:
            serve(sys.stdin.buffer, replies)
        except BrokenPipeError:
            os._exit(0)  # the parent has let go


if __name__ == "__main__":
    main()
