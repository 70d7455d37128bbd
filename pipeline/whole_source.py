"""All bytes of a listed video, and whether they are those that the store holds, where it says so.

A reply of the right length and version can still hold other bytes, changed on their way. What a
store says of the content is its ETag: of an object that was put in one piece, the MD5 of its bytes,
mostly. Where it looks like one and is not theirs, either the store counts otherwise (with keys of
its own, say) or the bytes are wrong; so they are fetched again, and two fetches that agree are
believed. Of an object that was put in parts the ETag says nothing of the kind: a changed byte
shows in its decoding, or not at all.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from flexivideo.errors import SourceUnavailable
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.remote_names import is_remote
from pipeline.source_file import open_source
from pipeline.store_settings import StoreSettings

__all__ = ["whole_source"]

CHUNK_BYTES = 4 << 20

# Of an object whose bytes are not those of its ETag.
FETCHES = 3

# Buckets and hosts whose ETags proved to be something else, in this process: nothing is fetched
# twice there.
counting_otherwise: set[str] = set()


@contextmanager
def whole_source(
    ref: VideoRef,
    *,
    max_size_mib: int | None = None,
    store: StoreSettings = StoreSettings(),
    beat: Callable[[], None] = lambda: None,
) -> Iterator[tuple[BinaryIO, str]]:
    """What a reference names, read once, and the SHA-256 of its bytes, hexadecimal.

    Args:
        ref: a file of this machine or an object, with what signs it in the clear.
        max_size_mib: largest that is read; None: any.
        store: how object stores are reached.
        beat: called at every sign of life.

    Raises:
        SourceUnavailable: as ``open_source``; or if no two fetches agree.
        VideoRejected: as ``open_source``.
    """
    seen = set[str]()
    for _ in range(FETCHES):
        with open_source(ref, max_size_mib=max_size_mib, store=store, beat=beat) as file:
            sha256, is_refuted = _digest(file, ref, beat)
            if sha256 in seen:
                counting_otherwise.add(_keeper(ref))
            if sha256 in seen or not is_refuted:
                yield file, sha256
                return
        seen.add(sha256)
    raise SourceUnavailable(
        ErrorKind.SOURCE_UNAVAILABLE,
        f"{ref.uri!r} came with other bytes each of {FETCHES} times; expected those of ETag "
        f"{ref.version}: look at the network between here and the store, then run again",
    )


def _digest(file: BinaryIO, ref: VideoRef, beat: Callable[[], None]) -> tuple[str, bool]:
    """SHA-256 of all bytes, and whether the ETag says that they are others."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    is_md5 = (
        is_remote(ref.uri)
        and re.fullmatch("[0-9a-f]{32}", ref.version) is not None
        and _keeper(ref) not in counting_otherwise
    )
    while chunk := file.read(CHUNK_BYTES):
        sha256.update(chunk)
        if is_md5:
            md5.update(chunk)
        beat()
    return sha256.hexdigest(), is_md5 and md5.hexdigest() != ref.version


def _keeper(ref: VideoRef) -> str:
    """The bucket or host that holds it: ``s3://bucket``, ``https://host``."""
    return "/".join(ref.uri.split("/")[:3])
