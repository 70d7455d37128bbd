"""Where a dataset lives: a few operations that a disk and an object store both have.

Everything above needs these alone: create a finished object only if its name is free, swap a small
object if it still is what it was, read, list, delete. Object stores come behind the same methods.
"""

import fcntl
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from fsspec import AbstractFileSystem

from flexivideo.errors import SettingsError
from pipeline.local_uri import S3_SCHEME, to_path
from pipeline.store_settings import StoreSettings

__all__ = ["UNFINISHED", "LocalStore", "Store", "open_store"]

# Unfinished files; on the same disk as the rest, so that a link can publish them.
STAGING, UNFINISHED = ".staging", ".partial"


class Store(Protocol):
    """A root and the objects under it, named by paths with forward slashes."""

    root: str

    @property
    def filesystem(self) -> AbstractFileSystem | None:
        """What DuckDB finds the objects with; None: what it has itself."""

    def staging_file(self) -> BinaryIO:
        """A new empty local file to write an object into; to close it is to forget it."""

    def create_if_absent(self, path: str, finished: BinaryIO) -> bool:
        """Publish a staging file under a name, durably, unless the name is taken; it is used up."""

    def compare_and_swap(self, path: str, expected: bytes | None, new: bytes) -> bool:
        """Replace a small object if its content is as expected (None: it is absent)."""

    def read(self, path: str) -> bytes | None:
        """Content of an object; None if it is absent."""

    def list(self, folder: str) -> Iterator[str]:
        """Paths of the objects at any depth under a folder, sorted; none if it is absent."""

    def delete(self, path: str) -> None:
        """Remove an object if it is there."""

    def open(self, path: str) -> BinaryIO:
        """An object as a file that can be read anywhere; FileNotFoundError if it is absent."""

    def uri(self, path: str) -> str:
        """What an object is called by those who read the dataset."""


class _StagedFile(io.FileIO):
    """A file that is gone when it is closed, unless a link to it was made, or it is gone anyway."""

    def close(self) -> None:
        super().close()
        Path(str(self.name)).unlink(missing_ok=True)


class LocalStore:
    """A root on a disk of this machine."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.filesystem: AbstractFileSystem | None = None

    def staging_file(self) -> BinaryIO:
        """See :class:`Store`."""
        folder = Path(self.root, STAGING)
        folder.mkdir(parents=True, exist_ok=True)
        return _StagedFile(folder / f"{secrets.token_hex(8)}{UNFINISHED}", "x+")

    def create_if_absent(self, path: str, finished: BinaryIO) -> bool:
        """See :class:`Store`: a hard link cannot replace what is there."""
        target = Path(self.root, path)
        with finished:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.fsync(finished.fileno())
            try:
                os.link(finished.name, target)
            except FileExistsError:
                return False
        _sync(target.parent)
        return True

    def compare_and_swap(self, path: str, expected: bytes | None, new: bytes) -> bool:
        """See :class:`Store`: under a lock that the kernel frees with its process."""
        with self._lock():
            if self.read(path) != expected:
                return False
            staged, target = Path(self.root, STAGING, "swapped"), Path(self.root, path)
            staged.write_bytes(new)
            _sync(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, target)
            _sync(target.parent)
            return True

    def read(self, path: str) -> bytes | None:
        """See :class:`Store`."""
        try:
            return Path(self.root, path).read_bytes()
        except FileNotFoundError:
            return None

    def list(self, folder: str) -> Iterator[str]:
        """See :class:`Store`."""
        for parent, folders, files in os.walk(Path(self.root, folder)):
            folders.sort()
            for name in sorted(files):
                yield os.path.relpath(os.path.join(parent, name), self.root)

    def delete(self, path: str) -> None:
        """See :class:`Store`."""
        Path(self.root, path).unlink(missing_ok=True)

    def open(self, path: str) -> BinaryIO:
        """See :class:`Store`."""
        return open(os.path.join(self.root, path), "rb")

    def uri(self, path: str) -> str:
        """See :class:`Store`."""
        return os.path.join(self.root, path)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        folder = Path(self.root, STAGING)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def open_store(root: str, settings: StoreSettings = StoreSettings()) -> Store:
    """Store of a root; nothing is made before something is written.

    Args:
        root: a folder, or ``s3://bucket`` or ``s3://bucket/prefix``.
        settings: how an object store is reached.

    Raises:
        SettingsError: if the root is of another kind, has no usable name, exists and is no folder,
            or is in a bucket that cannot be listed.
    """
    path = to_path(root)
    if not path or "\\" in path or not _is_utf8(path):
        raise SettingsError(
            f"root {root!r} cannot be used; expected a name of UTF-8 characters without a "
            f"backslash, which the Parquet readers' globs could find"
        )
    if path.startswith(S3_SCHEME):
        from pipeline.object_root import ObjectRoot  # with s3fs, which folders do not need

        return ObjectRoot(path, settings)
    if "://" in path:
        raise SettingsError(
            f"root {root!r} is a URL of another kind; this release writes to local folders and to "
            f"s3://"
        )
    if os.path.lexists(path) and not os.path.isdir(path):
        raise SettingsError(f"root {root!r} is a file; expected a folder, or a name that is free")
    return LocalStore(path)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # bytes of a name that are no text
        return False
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
