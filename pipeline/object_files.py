"""The parts of a dataset in an object store as files, for DuckDB and Arrow.

A filesystem of fsspec's kind in place of s3fs's own, whose ranges are neither looked at nor tried
again as ours are.
"""

import io
from datetime import datetime
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile

from pipeline.local_uri import S3_SCHEME
from pipeline.object_store import (
    ListedObject,
    ObjectReader,
    list_objects,
    look_up,
    read_object,
)
from pipeline.store_settings import StoreSettings

__all__ = ["ObjectFiles"]

# Up to this size an object comes whole, and is compared with the digest that it was put with.
WHOLE_BYTES = 32 << 20

# Of larger ones come ranges: footers and columns of a part lie close together.
BLOCK_BYTES = 1 << 20


class ObjectFiles(AbstractFileSystem):
    """What DuckDB and Arrow need of a filesystem; nothing is written through it."""

    protocol = "s3"
    cachable = False

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__()
        self._settings = settings
        # DuckDB lists before it opens; what a listing said need not be asked for again.
        self._listed: dict[str, ListedObject] = {}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and version of an object.

        Raises:
            FileNotFoundError: if there is none.
        """
        return _entry(self._object(path))

    def modified(self, path: str) -> datetime:
        """When an object was put there; raises as :meth:`info` does."""
        return self._object(path).modified_at

    def find(self, path: str, **options: Any) -> list[str] | dict[str, dict[str, Any]]:
        """Objects in a folder, at any depth; what :meth:`glob` goes through."""
        folder = self._uri(path).rstrip("/") + "/"
        listed = {self._name(found.uri): found for found in list_objects(folder, self._settings)}
        self._listed |= listed
        entries = {name: _entry(found) for name, found in listed.items()}
        return entries if options.get("detail") else list(entries)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        size_bytes = self._object(path).size_bytes
        self._listed.pop(self._name(path), None)  # it may have been replaced since
        if size_bytes <= WHOLE_BYTES:
            found = read_object(self._uri(path), self._settings)
            if found is None:
                raise FileNotFoundError(path)
            return io.BytesIO(found.content)
        file: BinaryIO = _ObjectFile(
            self, path, mode, block_size=BLOCK_BYTES, settings=self._settings
        )
        return file

    def _object(self, path: str) -> ListedObject:
        found = self._listed.get(self._name(path)) or look_up(self._uri(path), self._settings)
        if found is None:
            raise FileNotFoundError(path)
        return found

    def _name(self, path: str) -> str:
        return str(self._strip_protocol(path))

    def _uri(self, path: str) -> str:
        return S3_SCHEME + self._name(path)


class _ObjectFile(AbstractBufferedFile):
    """One version of an object."""

    def __init__(self, *arguments: Any, settings: StoreSettings, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reader = ObjectReader(S3_SCHEME + self.path, self.details["ETag"], settings)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._reader.read(start, end).result()


def _entry(found: ListedObject) -> dict[str, Any]:
    name = found.uri.removeprefix(S3_SCHEME)
    return {"name": name, "size": found.size_bytes, "type": "file", "ETag": found.etag}
