"""Videos at web addresses, presigned ones among them: each is named, none is listed."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

from flexivideo.errors import SettingsError, StoreError
from pipeline.fetched_file import FetchedFile, Reading
from pipeline.identity import video_id
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.sealing import own_seal
from pipeline.signed_urls import WebAddress, web_address
from pipeline.store_settings import StoreSettings
from pipeline.url_reader import UrlReader, look_up

__all__ = ["listed_videos", "located", "opened"]


def listed_videos(
    source: str,
    settings: StoreSettings,
    *,
    left: Counter[str],
    folders: list[str],
    may_be_empty: bool,
) -> Iterator[VideoRef]:
    """What is at the address; see ``pipeline.source_kinds``."""
    uri = web_address(source).uri
    try:
        ref = located(source, settings)
    except StoreError as error:
        if error.error_kind == ErrorKind.SOURCE_UNAVAILABLE:
            said = f"{error.detail}; look at the network and the server, then run again"
            raise StoreError(error.error_kind, said) from None
        raise SettingsError(error.detail) from None
    if ref is None:
        raise SettingsError(f"{uri!r} names nothing that its server has; expected a video's URL")
    yield ref


def located(name: str, settings: StoreSettings) -> VideoRef | None:
    """What is at the address now; see ``pipeline.source_kinds``."""
    address = web_address(name)
    found = look_up(address)
    if found is None:
        return None
    return VideoRef(
        uri=address.uri,
        version=found.version,
        video_id=video_id(address.uri, found.version),
        size_bytes=found.size_bytes,
        modified_at_s=found.modified_at.timestamp() if found.modified_at else None,
        signed_query=address.signed_query and own_seal().close(address.signed_query),
    )


def opened(
    ref: VideoRef,
    settings: StoreSettings,
    beat: Callable[[], None],
    reading: Reading | None = None,
) -> BinaryIO:
    """The bytes of the version that was found there; see ``pipeline.source_kinds``."""
    size_bytes = ref.size_bytes or 0
    reader = UrlReader(WebAddress(ref.uri, ref.signed_query), ref.version, size_bytes=size_bytes)
    file = FetchedFile(reader.read, size_bytes, beat, reading=reading, done=reader.close)
    return file.buffered()
