"""Videos in S3 stores: what a prefix holds, and an object's bytes as a file."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pipeline.fetched_file import FetchedFile, Reading
from pipeline.identity import video_id
from pipeline.object_store import ListedObject, ObjectReader, list_objects, look_up
from pipeline.prefix_listing import named_or_under
from pipeline.records import VideoRef
from pipeline.store_settings import StoreSettings

__all__ = ["listed_videos", "located", "opened"]


def listed_videos(
    source: str,
    settings: StoreSettings,
    *,
    left: Counter[str],
    folders: list[str],
    may_be_empty: bool,
) -> Iterator[VideoRef]:
    """The object of that name, or the videos under a prefix, page by page.

    See ``pipeline.source_kinds``.
    """
    return named_or_under(
        source,
        named=lambda name: located(name, settings),
        under=lambda prefix: map(_ref, list_objects(prefix, settings)),
        left=left,
        folders=folders,
        may_be_empty=may_be_empty,
    )


def located(name: str, settings: StoreSettings) -> VideoRef | None:
    """The object of that name as it is now; see ``pipeline.source_kinds``."""
    found = look_up(name, settings)
    return None if found is None else _ref(found)


def opened(
    ref: VideoRef,
    settings: StoreSettings,
    beat: Callable[[], None],
    reading: Reading | None = None,
) -> BinaryIO:
    """The bytes of an object in the version that was listed; see ``pipeline.source_kinds``."""
    reader = ObjectReader(ref.uri, ref.version, settings, size_bytes=ref.size_bytes)
    return FetchedFile(reader.read, ref.size_bytes or 0, beat, reading=reading).buffered()


def _ref(found: ListedObject) -> VideoRef:
    return VideoRef(
        uri=found.uri,
        version=found.etag,
        video_id=video_id(found.uri, found.etag),
        size_bytes=found.size_bytes,
        modified_at_s=found.modified_at.timestamp(),
    )
