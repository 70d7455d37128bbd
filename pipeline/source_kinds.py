"""Which module reads a remote video: one a kind of store, imported where it is needed.

Each has the three functions of :class:`SourceKind`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from importlib import import_module
from typing import BinaryIO, Protocol, cast

from flexivideo.errors import SettingsError, SourceUnavailable, StoreError
from pipeline.fetched_file import BEAT_S, Reading
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.remote_names import EXPECTED, EXTRAS, scheme
from pipeline.signed_urls import SCHEMES as WEB_SCHEMES
from pipeline.signed_urls import shown
from pipeline.store_settings import StoreSettings

__all__ = ["SourceKind", "source_kind", "why_absent"]

MODULES = {
    "s3": "pipeline.object_sources",
    **dict.fromkeys(WEB_SCHEMES, "pipeline.url_sources"),
    **dict.fromkeys(EXTRAS, "pipeline.fsspec_sources"),
}


class SourceKind(Protocol):
    """What is done with the videos of one kind of store."""

    def listed_videos(
        self,
        source: str,
        settings: StoreSettings,
        *,
        left: Counter[str],
        folders: list[str],
        may_be_empty: bool,
    ) -> Iterator[VideoRef]:
        """The object of that name, or the videos under a prefix.

        As with files: an object that is named is always taken, and a prefix is a folder, whose name
        ends where the next slash begins.

        Args:
            source: its name.
            settings: how the store is reached.
            left: counts the objects under a prefix that have another extension, by extension.
            folders: takes the prefix, unless it is an object.
            may_be_empty: whether nothing need lie under a prefix.

        Raises:
            SettingsError: if the store refuses, or nothing has such a name.
            StoreError: if it cannot be reached.
        """

    def located(self, name: str, settings: StoreSettings) -> VideoRef | None:
        """The object of that name in the version that it has now; None if there is none.

        Raises:
            StoreError: if the store refuses or cannot be reached.
        """

    def opened(
        self,
        ref: VideoRef,
        settings: StoreSettings,
        beat: Callable[[], None],
        reading: Reading | None,
    ) -> BinaryIO:
        """The bytes of an object in the version that was listed; others are never read.

        Args:
            ref: which, with what signs it in the clear.
            settings: how the store is reached.
            beat: called while bytes are waited for.
            reading: in which steps; None: as one that is read whole.

        Raises:
            SourceUnavailable: here, or in reading, if it is gone, changed or out of reach.
        """


def source_kind(name: str) -> SourceKind | None:
    """Who reads what has that name; None for files.

    Raises:
        SettingsError: if nobody does.
    """
    kind = scheme(name)
    if kind is None:
        return None
    if kind not in MODULES:
        raise SettingsError(f"{shown(name)} is of no kind that is read; expected {EXPECTED}")
    return cast(SourceKind, import_module(MODULES[kind]))


def why_absent(
    ref: VideoRef, look: Callable[[], VideoRef | None], beat: Callable[[], None]
) -> SourceUnavailable:
    """What is said of an object that could not be looked up when it was listed: it is asked again.

    As of a file: it is gone, refused or out of reach; or it is there now, in a version that this
    run does not know.
    """
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(look)
        while not wait([asked], BEAT_S).done:
            beat()
    error = asked.exception()
    if isinstance(error, StoreError):
        return SourceUnavailable(error.error_kind, error.detail)
    if (found := asked.result()) is None:
        return SourceUnavailable(ErrorKind.SOURCE_MISSING, f"{ref.uri!r} is not there any more")
    return SourceUnavailable(
        ErrorKind.SOURCE_CHANGED,
        f"{ref.uri!r} has changed: listed as unreadable, now {found.version}; run again",
    )
