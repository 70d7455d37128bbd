"""What the name of an object or a prefix gives, whatever store it is in."""

from collections import Counter
from collections.abc import Callable, Iterator

from flexivideo.errors import SettingsError, StoreError
from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.video_extensions import extension, is_video

__all__ = ["listing_error", "named_or_under"]


def named_or_under(
    source: str,
    *,
    named: Callable[[str], VideoRef | None],
    under: Callable[[str], Iterator[VideoRef]],
    left: Counter[str],
    folders: list[str],
    may_be_empty: bool,
) -> Iterator[VideoRef]:
    """The object of that name, or the videos under a prefix, as they are listed.

    Args:
        source: its name.
        named: gives the object that is called so.
        under: gives the objects whose names begin so, in order.
        left: counts the objects under a prefix that have another extension, by extension.
        folders: takes the prefix, unless it is an object.
        may_be_empty: whether nothing need lie under a prefix.

    Raises:
        SettingsError: if the store refuses, or nothing has such a name.
        StoreError: if it cannot be reached.
    """
    try:
        found = None if source.endswith("/") else named(source)
        if found is not None:
            yield found
            return
        folder, n_found = source.rstrip("/") + "/", 0
        folders.append(folder)
        for ref in under(folder):
            n_found += 1
            if is_video(ref.uri):
                yield ref
            elif not ref.uri.endswith("/"):  # what some tools make for a folder
                left[extension(ref.uri)] += 1
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
