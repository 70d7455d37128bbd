"""Videos in object stores: what a prefix holds, and an object's bytes as a file."""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import BinaryIO

from flexivideo.errors import SettingsError, SourceUnavailable, StoreError
from pipeline.fetched_file import BEAT_S, FetchedFile, Reading
from pipeline.identity import video_id
from pipeline.object_store import ListedObject, ObjectReader, list_objects, look_up
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.store_settings import StoreSettings
from pipeline.video_extensions import extension, is_video

__all__ = ["listed_videos", "listing_error", "located_object", "object_file", "why_absent"]

# Decoders ask for little at a time.
BUFFER_BYTES = 1 << 20


def listed_videos(
    source: str,
    settings: StoreSettings,
    *,
    left: Counter[str],
    folders: list[str],
    may_be_empty: bool,
) -> Iterator[VideoRef]:
    """The object of that name, or the videos under a prefix, page by page.

    As with files: an object that is named is always taken, and a prefix is a folder, whose name
    ends where the next slash begins.

    Args:
        source: ``s3://bucket``, ``s3://bucket/prefix`` or ``s3://bucket/key``.
        settings: how the store is reached.
        left: counts the objects under a prefix that have another extension, by extension.
        folders: takes the prefix, unless it is an object.
        may_be_empty: whether nothing need lie under a prefix.

    Raises:
        SettingsError: if the store refuses, or nothing has such a name.
        StoreError: if it cannot be reached.
    """
    try:
        named = None if source.endswith("/") else look_up(source, settings)
        if named is not None:
            yield _ref(named)
            return
        folder, n_found = source.rstrip("/") + "/", 0
        folders.append(folder)
        for found in list_objects(folder, settings):
            n_found += 1
            if is_video(found.uri):
                yield _ref(found)
            elif not found.uri.endswith("/"):  # what some tools make for a folder
                left[extension(found.uri)] += 1
    except StoreError as error:
        raise listing_error(f"{source!r} cannot be listed", error) from error
    if not n_found and not may_be_empty:
        raise SettingsError(f"{source!r} names no object, and none lies under {folder!r}")


def listing_error(what: str, error: StoreError) -> SettingsError | StoreError:
    """What is said of a listing that failed: a person must change something, or wait."""
    if error.error_kind == ErrorKind.SOURCE_UNAVAILABLE:
        said = f"{what}: {error.detail}; look at the network and the store, then run again"
        return StoreError(error.error_kind, said)
    return SettingsError(
        f"{what}: {error.detail}; expected a bucket at the endpoint that these credentials may use"
    )


def located_object(uri: str, settings: StoreSettings) -> VideoRef | None:
    """The object of that name as it is now; see :func:`pipeline.sources.located`."""
    found = look_up(uri, settings)
    return None if found is None else _ref(found)


def object_file(
    ref: VideoRef,
    settings: StoreSettings,
    beat: Callable[[], None],
    reading: Reading | None = None,
) -> BinaryIO:
    """The bytes of an object in the version that was listed; others are never read.

    Reading raises SourceUnavailable if it is gone, changed or out of reach.
    """
    reader = ObjectReader(ref.uri, ref.version, settings, size_bytes=ref.size_bytes)
    file = FetchedFile(reader.read, ref.size_bytes or 0, beat, reading)
    return io.BufferedReader(file, BUFFER_BYTES)


def why_absent(
    ref: VideoRef, settings: StoreSettings, beat: Callable[[], None]
) -> SourceUnavailable:
    """What is said of an object that could not be looked up when it was listed: it is asked again.

    As of a file: it is gone, refused or out of reach; or it is there now, in a version that this
    run does not know.
    """
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(look_up, ref.uri, settings)
        while not wait([asked], BEAT_S).done:
            beat()
    error = asked.exception()
    if isinstance(error, StoreError):
        return SourceUnavailable(error.error_kind, error.detail)
    if (found := asked.result()) is None:
        return SourceUnavailable(ErrorKind.SOURCE_MISSING, f"{ref.uri!r} is not there any more")
    return SourceUnavailable(
        ErrorKind.SOURCE_CHANGED,
        f"{ref.uri!r} has changed: listed as unreadable, now {found.etag}; run again",
    )


def _ref(found: ListedObject) -> VideoRef:
    return VideoRef(
        uri=found.uri,
        version=found.etag,
        video_id=video_id(found.uri, found.etag),
        size_bytes=found.size_bytes,
        modified_at_s=found.modified_at.timestamp(),
    )
