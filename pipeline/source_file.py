"""The bytes of a listed video: its file in the version that was listed, or a clear error."""

import hashlib
import os
from collections.abc import Callable
from typing import BinaryIO

from flexivideo.errors import SourceUnavailable, VideoRejected
from pipeline.local_uri import to_path
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.sources import disk_version

__all__ = ["content_digest", "open_source"]

MIB = 2**20
DIGEST_CHUNK_BYTES = 4 * MIB


def open_source(ref: VideoRef, *, max_size_mib: int | None) -> BinaryIO:
    """Open the file that a reference names.

    Raises:
        SourceUnavailable: if it is gone, may not be read, or is not the version that was listed.
        VideoRejected: if it is empty, or larger than the settings allow.
    """
    try:
        file = open(to_path(ref.uri), "rb")  # noqa: SIM115 - the caller enters it
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
    status = os.fstat(file.fileno())
    try:
        if disk_version(status) != ref.version:
            raise SourceUnavailable(
                ErrorKind.SOURCE_CHANGED, f"{ref.uri!r} has changed since it was listed"
            )
        if not status.st_size:
            raise VideoRejected(ErrorKind.EMPTY, "the file has no bytes; expected a video")
        if max_size_mib is not None and status.st_size > max_size_mib * MIB:
            raise VideoRejected(
                ErrorKind.TOO_LARGE,
                f"the file has {status.st_size / MIB:.0f} MiB; max_size_mib is {max_size_mib}",
            )
    except BaseException:
        file.close()
        raise
    return file


def content_digest(file: BinaryIO, beat: Callable[[], None]) -> str:
    """SHA-256 of all bytes, hexadecimal; ``beat`` is called at every sign of life."""
    digest = hashlib.sha256()
    while chunk := file.read(DIGEST_CHUNK_BYTES):
        digest.update(chunk)
        beat()
    return digest.hexdigest()
