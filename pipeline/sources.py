"""From what a user names to references of videos: files, folders, globs, objects, manifests.

A folder gives its files of known video extensions, at any depth, and counts the others. A file that
is named is always taken, whatever it is called. The order is that of the names, so two listings of
the same archive are the same list; a file that is named twice comes once. A manifest is a file
that names videos (``pipeline/manifest_rows.py``): these come first, in its order.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence

from flexivideo.errors import SettingsError
from pipeline.given_videos import GivenVideos
from pipeline.identity import video_id
from pipeline.local_uri import to_path, to_uri
from pipeline.manifests import manifest_lines
from pipeline.records import VideoRef
from pipeline.remote_names import is_on_web, is_remote, remote_name
from pipeline.source_kinds import source_kind
from pipeline.store_settings import StoreSettings
from pipeline.video_extensions import extension, is_video

__all__ = ["Listing", "disk_version", "local_ref", "located"]

# Of a manifest's lines that cannot be used: the others are counted.
MOST_NAMED = 100


class Listing:
    """The videos under some sources, listed as they are asked for.

    Attributes:
        left: after iteration, extension to number of files that folders and inventories held and
            that were left because no video is known under that extension.
        unreadable: after iteration, folders that could not be listed, each with the reason.
        folders: after iteration, what the URIs begin with of which all videos were listed.
        ended: whether all has been listed.
        linked: after iteration, links to folders, which are not followed: they may lead in circles,
            or to what is listed already. One that is named is.
        n_unusable: after iteration, lines of manifests that could not be used.
        unusable: the first of them, by file and number, each with the reason.
    """

    def __init__(
        self,
        sources: Sequence[str],
        store: StoreSettings = StoreSettings(),
        *,
        manifests: Sequence[str] = (),
        may_be_empty: bool = False,
    ) -> None:
        """Check each path first, so that a mistyped name stops the run before it starts.

        Args:
            sources: files, folders, globs, ``s3://`` objects and prefixes, ``https://`` addresses.
            store: how object stores are reached; the environment says what it leaves open.
            manifests: files that name videos, on a disk or ``s3://``.
            may_be_empty: whether nothing need lie under an ``s3://`` prefix, as in a folder.

        Raises:
            SettingsError: if a source is neither a file nor a folder, and matches nothing, or a
                manifest cannot be read or has no line that can be used.
        """
        if not sources and not manifests:
            raise SettingsError("no source was given; name files, folders, globs or a manifest")
        for source in filter(is_remote, sources):
            _check_name(source, store)
        self._store, self._may_be_empty = store.settled(), may_be_empty
        self._named = [path for source in sources for path in _expand(source)]
        self._manifests = manifests
        for manifest in manifests:  # up to the first line that can be used
            next(manifest_lines(manifest, self._store, lambda reason: None, Counter()))
        self.left: Counter[str] = Counter()
        self.unreadable: list[str] = []
        self.linked: list[str] = []
        self.folders: list[str] = []
        self.n_unusable, self.unusable = 0, list[str]()
        self.ended = False

    def __iter__(self) -> Iterator[VideoRef]:
        """Each video once, folders in the order of their names.

        Raises:
            StoreError: if a store cannot be reached.
            SettingsError: if a store cannot be listed, an ``s3://`` source names nothing, or a
                manifest cannot be read to its end.
        """
        self.left.clear()
        self.unreadable.clear()
        self.linked.clear()
        self.folders.clear()
        self.n_unusable, self.unusable = 0, []
        self.ended = False
        # First, since a folder that was listed hides what is named in it, gone or not. By version:
        # an old one in a manifest must not hide the one that a folder gives.
        given = GivenVideos()
        for manifest in self._manifests:
            yield from (ref for ref in self._manifest_refs(manifest) if given.add(ref.video_id))
        # What a folder gives is not remembered: a folder can hold millions, and gives each once.
        named, folders, links = set[str](), tuple[str, ...](), tuple[str, ...]()
        for name in self._named:
            for ref in self._refs(name):
                path = to_path(ref.uri)
                # What lies behind a link in a folder did not come with the folder.
                in_folder = path.startswith(folders) and not path.startswith(links)
                has_come = in_folder and is_video(ref.uri)
                if not has_come and ref.uri not in named and ref.video_id not in given:
                    yield ref
                if len(self.folders) == len(folders):  # it is no folder
                    named.add(ref.uri)
            folders = tuple(map(to_path, self.folders))
            links = tuple(f"{link}/" for link in self.linked)
        self.ended = True

    def _manifest_refs(self, manifest: str) -> Iterator[VideoRef]:
        from pipeline.manifest_refs import manifest_refs  # whose references of files are ours

        return manifest_refs(
            manifest_lines(manifest, self._store, self._note_unusable, self.left), self._store
        )

    def _refs(self, name: str) -> Iterator[VideoRef]:
        kind = source_kind(name)
        if kind is not None:
            return kind.listed_videos(
                name,
                self._store,
                left=self.left,
                folders=self.folders,
                may_be_empty=self._may_be_empty,
            )
        files = iter((name,))
        if os.path.isdir(name):
            self.folders.append(to_uri(name).rstrip("/") + "/")
            files = self._folder(name)
        return (local_ref(to_uri(file)) for file in files)

    def _folder(self, folder: str) -> Iterator[str]:
        for parent, folders, files in os.walk(folder, onerror=self._note_unreadable):
            folders.sort()
            paths = (os.path.join(parent, name) for name in folders)
            self.linked.extend(path for path in paths if os.path.islink(path))
            for name in sorted(files):
                if is_video(name):
                    yield os.path.join(parent, name)
                else:
                    self.left[extension(name)] += 1

    def _note_unreadable(self, error: OSError) -> None:
        self.unreadable.append(f"{error.filename}: {error.strerror}")

    def _note_unusable(self, reason: str) -> None:
        self.n_unusable += 1
        if self.n_unusable <= MOST_NAMED:
            self.unusable.append(reason)


def local_ref(uri: str) -> VideoRef:
    """Reference of a file of this machine in the version it has now.

    A file that is gone or may not be read still gives a reference: it ends as a row that says so.
    """
    try:
        status = os.stat(to_path(uri))
    except OSError:
        return VideoRef(uri=uri, version="", video_id=video_id(uri, ""), size_bytes=None)
    version = disk_version(status)
    return VideoRef(
        uri=uri,
        version=version,
        video_id=video_id(uri, version),
        size_bytes=status.st_size,
        modified_at_s=status.st_mtime,
    )


def located(uri: str, store: StoreSettings) -> VideoRef | None:
    """A known video in the version that it has now; None if it is gone.

    Raises:
        StoreError: if its store refuses or cannot be reached.
    """
    kind = source_kind(uri)
    if kind is not None:
        return kind.located(uri, store)
    return local_ref(uri) if os.path.lexists(to_path(uri)) else None


def _check_name(source: str, store: StoreSettings) -> None:
    source_kind(source)
    if is_on_web(source):  # others may be prefixes, which their stores judge
        try:
            remote_name(source, plain_http=store.plain_http)
        except ValueError as error:
            raise SettingsError(str(error)) from error


def disk_version(status: os.stat_result) -> str:
    """Version of a file on a disk: ``<size>-<mtime_ns>``."""
    return f"{status.st_size}-{status.st_mtime_ns}"


def _expand(source: str) -> list[str]:
    """The paths that a source names; a name that exists is never read as a glob."""
    if is_remote(source) or os.path.lexists(source):
        return [source]
    matches = sorted(glob.glob(source, recursive=True))
    if not matches:
        raise SettingsError(
            f"{source!r} names no file or folder and matches nothing; "
            f"expected a file, a folder or a glob such as 'archive/**/*.mp4'"
        )
    return matches
