"""References of the videos that a manifest names, in the versions that it gives or that are there.

What a manifest says of an object is taken as it is, and costs no request: reading asks for that
version and no other. What it does not say is looked up, many objects at a time.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from flexivideo.errors import SettingsError, StoreError
from pipeline.identity import video_id
from pipeline.manifests import ManifestLine
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.remote_names import is_remote
from pipeline.sealing import own_seal
from pipeline.signed_urls import WebAddress
from pipeline.sources import local_ref, located
from pipeline.store_settings import StoreSettings

__all__ = ["manifest_refs"]

# Behind 30 ms a request: some 500 objects a second.
AT_ONCE, AHEAD = 16, 64

# After so many requests without one answer it is not the objects that are at fault.
MOST_SILENT = 16

Found = VideoRef | StoreError


def manifest_refs(lines: Iterable[ManifestLine], store: StoreSettings) -> Iterator[VideoRef]:
    """A reference a line, in their order.

    Of a file the disk says the version; of an object the store does, unless the line gives both its
    etag and its size. An object that is gone or may not be read still gives a reference, as a file
    does: it ends as a row that says so.

    Raises:
        SettingsError: if the store does not answer at all.
    """
    answered, n_silent = False, 0
    for line, found in _in_order(lines, store):
        if isinstance(found, VideoRef):
            answered = answered or not _is_given(line)
            yield replace(found, prompt=line.prompt).within(line.time_range)
            continue
        if found.error_kind != ErrorKind.SOURCE_UNAVAILABLE:
            answered = True
        n_silent += not answered
        if n_silent == MOST_SILENT:
            raise SettingsError(
                f"{n_silent} objects of a manifest could not be looked up, and none could: "
                f"{found.detail}; look at the network and the endpoint, then run again"
            )
        yield _ref(line, "", None).within(line.time_range)


def _in_order(
    lines: Iterable[ManifestLine], store: StoreSettings
) -> Iterator[tuple[ManifestLine, Found]]:
    """Each line with what it gives; a few are asked for ahead."""
    coming: deque[tuple[ManifestLine, Found | Future[Found]]] = deque()
    has_asked = False
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for line in lines:
            if _is_given(line):
                coming.append((line, _found(line, store)))
            elif has_asked:
                coming.append((line, pool.submit(_found, line, store)))
            else:  # alone: it makes the client that the others share
                coming.append((line, _found(line, store)))
                has_asked = True
            while coming and (len(coming) > AHEAD or not isinstance(coming[0][1], Future)):
                yield _arrived(*coming.popleft())
        while coming:
            yield _arrived(*coming.popleft())
    finally:  # whoever asked may have enough
        pool.shutdown(cancel_futures=True)


def _arrived(line: ManifestLine, found: Found | Future[Found]) -> tuple[ManifestLine, Found]:
    return line, found.result() if isinstance(found, Future) else found


def _is_given(line: ManifestLine) -> bool:
    """Whether no store need be asked. A size of 0 may mean that somebody did not know it."""
    return not is_remote(line.uri) or bool(line.etag and line.size_bytes)


def _found(line: ManifestLine, store: StoreSettings) -> Found:
    if not is_remote(line.uri):
        return local_ref(line.uri)
    if line.etag and line.size_bytes:
        return _ref(line, line.etag, line.size_bytes)
    try:
        return located(WebAddress(line.uri, line.signed_query).url, store) or _ref(line, "", None)
    except StoreError as error:
        return error


def _ref(line: ManifestLine, version: str, size_bytes: int | None) -> VideoRef:
    return VideoRef(
        uri=line.uri,
        version=version,
        video_id=video_id(line.uri, version),
        size_bytes=size_bytes,
        prompt=line.prompt,
        signed_query=line.signed_query and own_seal().close(line.signed_query),
    )
