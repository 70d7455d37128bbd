"""Videos in the stores that a package of fsspec's reaches: gcsfs, adlfs.

How such a store is reached is the package's matter: its own variables, or fsspec's
(``FSSPEC_GS_TOKEN=anon``). What is needed of it is in fsspec's contract: a listing, an object's
facts, a range of its bytes. A range cannot be asked for in one version there. So the facts are
looked at once more when all bytes are here, before anybody has seen the last of them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem
from fsspec.asyn import get_loop, sync
from fsspec.core import url_to_fs

from flexivideo.errors import SettingsError, SourceUnavailable, StoreError
from pipeline.fetched_file import BLOCKS_AHEAD, FetchedFile, Reading
from pipeline.identity import video_id
from pipeline.outcomes import ErrorKind
from pipeline.patience import TornReply, if_there, patiently
from pipeline.prefix_listing import named_or_under
from pipeline.records import VideoRef
from pipeline.remote_names import EXTRAS, scheme
from pipeline.store_settings import StoreSettings

__all__ = ["listed_videos", "located", "opened"]

# The packages ask again on their own; so do we, once, for what they do not notice.
TRIES = 2

# What filesystems call a version, the best first: Google's ETag changes with an object's labels.
VERSIONS, TIMES = ("generation", "etag", "ETag"), ("mtime", "last_modified", "LastModified")


def listed_videos(
    source: str,
    settings: StoreSettings,
    *,
    left: Counter[str],
    folders: list[str],
    may_be_empty: bool,
) -> Iterator[VideoRef]:
    """The object of that name, or the videos under a prefix, folder by folder.

    See ``pipeline.source_kinds``.
    """
    return named_or_under(
        source,
        named=lambda name: located(name, settings),
        under=_under,
        left=left,
        folders=folders,
        may_be_empty=may_be_empty,
    )


def located(name: str, settings: StoreSettings) -> VideoRef | None:
    """The object of that name as it is now; see ``pipeline.source_kinds``."""
    store, path = _filesystem(name)
    facts = if_there(lambda: sync(get_loop(), patiently, lambda: _facts(name, store, path), TRIES))
    return _ref(name, facts) if facts and facts["type"] == "file" else None


def opened(
    ref: VideoRef,
    settings: StoreSettings,
    beat: Callable[[], None],
    reading: Reading | None = None,
) -> BinaryIO:
    """The bytes of an object in the version that was listed; see ``pipeline.source_kinds``."""
    try:
        reader = _Reader(ref)
    except SettingsError as error:  # a package that only the driver has
        raise SourceUnavailable(ErrorKind.SOURCE_UNAVAILABLE, str(error)) from error
    return FetchedFile(reader.read, reader.left, beat, reading=reading).buffered()


class _Reader:
    """One object, range by range, each of them once.

    Attributes:
        left: bytes that have not come yet.
    """

    def __init__(self, ref: VideoRef) -> None:
        self._ref, (self._store, self._path) = ref, _filesystem(ref.uri)
        self.left = ref.size_bytes or 0

    def read(self, start: int, end: int) -> "Future[bytes]":
        """Bytes ``start`` to ``end``, not included, on their way.

        The last ones come once it is sure that all are of the listed version. The future raises
        StoreError if they are gone, changed, out of reach or torn.
        """
        return asyncio.run_coroutine_threadsafe(self._read(start, end), get_loop())

    async def _read(self, start: int, end: int) -> bytes:
        content = await patiently(lambda: self._try(start, end), TRIES)
        self.left -= len(content)
        if not self.left:
            await patiently(self._see_that_it_is_the_same, TRIES)
        return content

    async def _try(self, start: int, end: int) -> bytes:
        with _judged(self._ref.uri):
            cat_file = partial(self._store.cat_file, self._path, start=start, end=end)
            content: bytes = await _called(cat_file)
            if len(content) != end - start:
                raise TornReply(f"{len(content)} bytes came; expected {end - start}")
            return content

    async def _see_that_it_is_the_same(self) -> None:
        version = _version(await _facts(self._ref.uri, self._store, self._path))
        if version != self._ref.version:
            raise StoreError(
                ErrorKind.SOURCE_CHANGED,
                f"{self._ref.uri!r} has changed: listed as {self._ref.version}, now {version}; "
                f"run again",
            )


def _filesystem(uri: str) -> tuple[AbstractFileSystem, str]:
    """Who reaches it, and what it is called there."""
    try:
        store, path = url_to_fs(uri, use_listings_cache=False)
    except ImportError as error:
        extra = EXTRAS[scheme(uri) or ""]
        raise SettingsError(
            f"{uri!r} is in a store that no installed package reaches: {error}; "
            f"pip install 'flexivideo[{extra}]', on every machine"
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"{uri!r} is in a store that cannot be reached as it is set up: {error}"
        ) from error
    return store, path


def _under(folder: str) -> Iterator[VideoRef]:
    """The objects of a folder and those below it, a folder at a time."""
    store, path = _filesystem(folder)
    waiting = [path.rstrip("/")]
    while waiting:
        with _judged(folder), suppress(FileNotFoundError):  # such a prefix has no objects
            entries, below = [], list[str]()
            entries = store.ls(waiting.pop(), detail=True)
        for entry in sorted(entries, key=lambda entry: entry["name"]):
            name = entry["name"].removeprefix(path.rstrip("/")).lstrip("/")
            if entry["type"] == "directory":
                below.append(entry["name"])
            elif name:  # else what some tools make for a folder
                yield _ref(folder + name, entry)
        waiting += reversed(below)


async def _facts(uri: str, store: AbstractFileSystem, path: str) -> dict[str, Any]:
    with _judged(uri):
        facts: dict[str, Any] = await _called(partial(store.info, path))
        return facts


async def _called(function: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_threads(), function)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """Not those of the loop, which the packages themselves wait for while we wait for them."""
    return ThreadPoolExecutor(BLOCKS_AHEAD, thread_name_prefix="fsspec-sources")


def _ref(uri: str, facts: Mapping[str, Any]) -> VideoRef:
    version = _version(facts)
    return VideoRef(
        uri=uri,
        version=version,
        video_id=video_id(uri, version),
        size_bytes=facts["size"],
        modified_at_s=_modified_at_s(facts),
    )


def _version(facts: Mapping[str, Any]) -> str:
    """What its store calls its version, else its length and the time of its last change."""
    for name in VERSIONS:
        if facts.get(name):
            return str(facts[name]).strip('"')
    modified_at_s = _modified_at_s(facts)
    return f"{facts['size']} bytes" + (f" of {modified_at_s}" if modified_at_s else "")


def _modified_at_s(facts: Mapping[str, Any]) -> float | None:
    for name in TIMES:
        time = facts.get(name)
        if isinstance(time, datetime):
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        if isinstance(time, int | float):
            return float(time)
    return None


@contextmanager
def _judged(uri: str) -> Iterator[None]:
    """What fails inside, as what it is to a run; without its text, which may hold what signs."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError:
        raise StoreError(ErrorKind.SOURCE_MISSING, f"{uri!r} is not there any more") from None
    except PermissionError:
        raise StoreError(
            ErrorKind.SOURCE_DENIED, f"{uri!r} is refused with these credentials"
        ) from None
    except Exception as error:  # each package has its own
        reason = str(error) if isinstance(error, TornReply) else type(error).__name__
        raise StoreError(
            ErrorKind.SOURCE_UNAVAILABLE, f"{uri!r} could not be had from the store: {reason}"
        ) from None
