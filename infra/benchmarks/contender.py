"""A process that decodes files when it is asked to, and says what each took."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from decoders import MAKERS, Asked, File

from jobs.peak_memory import peak_bytes
from pipeline.supervisor import LEAN

__all__ = ["Contender"]

# What torchcodec looks for and does not bring; PyAV's wheel has the same libraries by other names.
FFMPEG_8 = "avutil.so.60 avcodec.so.62 avformat.so.62 avdevice.so.62 avfilter.so.11".split()
FFMPEG_8 += "swscale.so.9 swresample.so.6".split()


class Contender:
    """One of ``decoders.MAKERS`` in a process of its own.

    Attributes:
        absent: why it cannot; None: it can.
    """

    def __init__(self, name: str, asked: Asked) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=contend, args=(name, asked, theirs))
        # Ours runs as the decode child does.
        with environment(LEAN) if name == "ours" else lent_libraries():
            self._process.start()
            theirs.close()
            self.absent: str | None = self._pipe.recv()

    def read(self, file: File) -> dict[str, Any]:
        """What it took, or its error; one that dies is seen no more."""
        self.begin(file)
        return self.answer()

    def begin(self, file: File) -> None:
        """Let it read; :meth:`answer` waits for it."""
        try:
            self._pipe.send(file)
        except BrokenPipeError:
            return

    def answer(self) -> dict[str, Any]:
        """As :meth:`read`."""
        try:
            answer: dict[str, Any] = self._pipe.recv()
        except (EOFError, ConnectionError):
            return {"error": "its process died"}
        return answer

    def end(self) -> None:
        """Let it go."""
        if self._process.is_alive():
            self._pipe.send(None)
        self._process.join()


def contend(name: str, asked: Asked, pipe: Connection) -> None:
    """What a contender's process does: says why it cannot, or reads files until it is let go."""
    try:
        read = MAKERS[name](asked)
    except (ImportError, OSError, RuntimeError) as error:
        pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])
        return
    pipe.send(None)
    for file in iter(pipe.recv, None):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        try:
            found = read(file) or {}
        except Exception as error:  # of any package, as it likes
            pipe.send({"error": f"{type(error).__name__}: {error}".splitlines()[0]})
            continue
        spent = {
            "wall_s": time.perf_counter() - began_s,
            "cpu_s": time.process_time() - began_cpu_s,
            "peak_bytes": peak_bytes(),
        }
        pipe.send(spent | found)


@contextmanager
def lent_libraries() -> Iterator[None]:
    """PyAV's FFmpeg libraries under their usual names, for processes that are started within."""
    import av

    with TemporaryDirectory() as folder:
        for library in (Path(av.__file__).parents[1] / "av.libs").glob("*.so*"):
            stem = library.name.split("-")[0]
            names = [f"lib{name}" for name in FFMPEG_8 if f"lib{name.split('.')[0]}" == stem]
            for name in (library.name, *names):
                Path(folder, name).symlink_to(library)
        with environment({"LD_LIBRARY_PATH": folder}):
            yield


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """They hold for processes that are started within."""
    before = os.environ.copy()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
