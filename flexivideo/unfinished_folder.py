"""A folder that appears whole, under its name, or not at all; what a kill leaves is swept up.

It is made beside its place, under a hidden name of its own, and holds a lock for as long as its
maker lives. So whoever makes the same folder next knows what nobody makes any more, and touches
nothing else: no folder without that lock's file, and none whose lock is held.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import IO

from flexivideo.errors import ModelError

__all__ = ["unfinished_folder"]

LOCK = ".being-made"


@contextmanager
def unfinished_folder(destination: Path) -> Iterator[Path]:
    """A folder to write into, renamed to its destination at the end, or removed.

    Args:
        destination: must not be there; folders above it are made.

    Raises:
        ModelError: if something came to stand there meanwhile.
        OSError: if the disk refuses.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    _sweep(destination)
    folder, lock = _begin(destination)
    with lock:
        try:
            yield folder
            (folder / LOCK).unlink()
            _place(folder, destination)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _begin(destination: Path) -> tuple[Path, IO[str]]:
    """A new folder and the lock that is held on it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
        folder.chmod(0o755)
        lock = open(folder / LOCK, "x")  # noqa: SIM115 - held as long as the folder is made
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.fstat(lock.fileno()).st_nlink > 0
        except BlockingIOError:
            is_ours = False
        except OSError:
            is_ours = True  # a disk without locks: nobody else can take one either
        if is_ours:
            return folder, lock
        lock.close()  # who swept in this very moment had it, and removes the folder


def _place(folder: Path, destination: Path) -> None:
    try:
        folder.rename(destination)
    except OSError as error:
        if destination.exists():
            raise ModelError(
                f"somebody else made {destination} meanwhile; expected a name that is free: use "
                f"what is there, or give another"
            ) from error
        raise


def _sweep(destination: Path) -> None:
    """Remove what nobody makes any more."""
    for left in destination.parent.glob(f".{escape(destination.name)}-*/{LOCK}"):
        try:
            with open(left, "r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left.parent, ignore_errors=True)
        except OSError:
            continue  # somebody is at work in it, or has finished it
