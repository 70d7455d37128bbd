"""The bytes of a listed video in the version that was listed, or a clear error."""

import io
import os
import stat
from collections.abc import Callable
from typing import Any, BinaryIO

from flexivideo.errors import SourceUnavailable, VideoRejected
from pipeline.fetched_file import Reading
from pipeline.local_uri import to_path
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.remote_names import is_remote
from pipeline.signed_urls import WebAddress
from pipeline.source_kinds import source_kind, why_absent
from pipeline.sources import disk_version
from pipeline.store_settings import StoreSettings

__all__ = ["check_version", "open_source"]

MIB = 2**20


class _ListedFile(io.FileIO):
    """A file whose reads fail as what they are: the store's fault, not the video's."""

    def readinto(self, buffer: Any) -> int | None:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise SourceUnavailable(
                ErrorKind.SOURCE_UNAVAILABLE,
                f"reading {self.name!r} failed: {error.strerror}; expected its bytes: "
                f"look at the disk or mount, then run again",
            ) from error


def open_source(
    ref: VideoRef,
    *,
    max_size_mib: int | None,
    store: StoreSettings = StoreSettings(),
    beat: Callable[[], None] = lambda: None,
    reading: Reading | None = None,
) -> BinaryIO:
    """Open what a reference names; a read that fails raises SourceUnavailable.

    Args:
        ref: a file of this machine or an object, with what signs it in the clear.
        max_size_mib: largest that is read; None: any.
        store: how object stores are reached.
        beat: called while bytes are waited for.
        reading: in which steps an object is fetched; what that takes is counted there. Default: as
            one that is read whole.

    Raises:
        SourceUnavailable: if it is gone, may not be read, or is not the version that was listed.
        VideoRejected: if it is no file, is empty, or is larger than the settings allow.
    """
    kind = source_kind(ref.uri)
    if kind is not None:
        if not ref.version:
            name = WebAddress(ref.uri, ref.signed_query).url
            raise why_absent(ref, lambda: kind.located(name, store), beat)
        _check_size(ref.size_bytes or 0, max_size_mib)
        return kind.opened(ref, store, beat, reading)
    file = _open_file(ref)
    try:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise VideoRejected(
                ErrorKind.NOT_A_VIDEO, f"{ref.uri!r} is a pipe or a device; expected a file"
            )
        check_version(file, ref)
        _check_size(os.fstat(file.fileno()).st_size, max_size_mib)
    except BaseException:
        file.close()
        raise
    return file


def _open_file(ref: VideoRef) -> BinaryIO:
    try:
        return io.BufferedReader(_ListedFile(to_path(ref.uri), opener=_open_at_once))
    except FileNotFoundError as error:
        raise SourceUnavailable(
            ErrorKind.SOURCE_MISSING, f"{ref.uri!r} is not there any more"
        ) from error
    except PermissionError as error:
        raise SourceUnavailable(
            ErrorKind.SOURCE_DENIED, f"{ref.uri!r} may not be read: {error.strerror}"
        ) from error
    except OSError as error:
        raise SourceUnavailable(
            ErrorKind.SOURCE_UNAVAILABLE, f"{ref.uri!r} cannot be read: {error.strerror}"
        ) from error


def _check_size(size_bytes: int, max_size_mib: int | None) -> None:
    if not size_bytes:
        raise VideoRejected(ErrorKind.EMPTY, "the file has no bytes; expected a video")
    if max_size_mib is not None and size_bytes > max_size_mib * MIB:
        raise VideoRejected(
            ErrorKind.TOO_LARGE,
            f"the file has {size_bytes / MIB:.0f} MiB; max_size_mib is {max_size_mib}",
        )


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a named pipe would keep us until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def check_version(file: BinaryIO, ref: VideoRef) -> None:
    """Whether an open file still is the listed version: asked before and after it is read.

    Of what is not on a disk no other version is ever read.

    Raises:
        SourceUnavailable: if it is not.
    """
    if is_remote(ref.uri):
        return
    version = disk_version(os.fstat(file.fileno()))
    if version != ref.version:
        raise SourceUnavailable(
            ErrorKind.SOURCE_CHANGED,
            f"{ref.uri!r} has changed: listed as {ref.version or 'unreadable'}, now {version}; "
            f"expected one version throughout: run again when it is written",
        )
