"""A dataset's root under a prefix of an object store.

Each change is one conditional request. Its reply can be lost after it was carried out, and the next
try then meets our own object; so every object carries a nonce, and who is refused looks at whose
object stands there.
"""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from flexivideo.errors import StoreError
from pipeline.local_uri import S3_SCHEME
from pipeline.object_files import ObjectFiles
from pipeline.object_requests import ask, bucket_and_key
from pipeline.object_store import DIGEST, read_object
from pipeline.outcomes import ErrorKind
from pipeline.patience import PATIENT_TRIES, if_there
from pipeline.prefix_listing import listing_error
from pipeline.store_settings import StoreSettings

__all__ = ["ObjectRoot"]

NONCE = "nonce"


class ObjectRoot:
    """A :class:`pipeline.store.Store`; nothing is visible that is not whole."""

    def __init__(self, root: str, settings: StoreSettings) -> None:
        """See that there is such a bucket.

        Raises:
            SettingsError: if it cannot be listed.
            StoreError: if the store cannot be reached.
        """
        self.root, self._settings = root.rstrip("/"), settings
        self.filesystem = ObjectFiles(settings)
        bucket, key = bucket_and_key(self.root)
        try:
            ask(self.root, settings, "list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1)
        except StoreError as error:
            raise listing_error(f"root {root!r} cannot be used", error) from error

    def staging_file(self) -> BinaryIO:
        """See :class:`pipeline.store.Store`: it has no name, so that nothing can be left of it."""
        return tempfile.TemporaryFile()

    def create_if_absent(self, path: str, finished: BinaryIO) -> bool:
        """See :class:`pipeline.store.Store`."""
        with finished:
            finished.seek(0)
            return self._put(path, finished.read(), IfNoneMatch="*")

    def compare_and_swap(self, path: str, expected: bytes | None, new: bytes) -> bool:
        """See :class:`pipeline.store.Store`."""
        found = read_object(self.uri(path), self._settings)
        if (found and found.content) != expected:
            return False
        condition = {"IfMatch": f'"{found.etag}"'} if found else {"IfNoneMatch": "*"}
        return self._put(path, new, **condition)

    def read(self, path: str) -> bytes | None:
        """See :class:`pipeline.store.Store`."""
        found = read_object(self.uri(path), self._settings)
        return found and found.content

    def list(self, folder: str) -> Iterator[str]:
        """See :class:`pipeline.store.Store`."""
        for uri in self.filesystem.find(self.uri(folder)):
            yield f"{S3_SCHEME}{uri}".removeprefix(f"{self.root}/")

    def delete(self, path: str) -> None:
        """See :class:`pipeline.store.Store`."""
        self._ask(path, "delete_object")

    def open(self, path: str) -> BinaryIO:
        """See :class:`pipeline.store.Store`."""
        file: BinaryIO = self.filesystem.open(self.uri(path))
        return file

    def uri(self, path: str) -> str:
        """See :class:`pipeline.store.Store`."""
        return f"{self.root}/{path}"

    def _put(self, path: str, content: bytes, **condition: str) -> bool:
        """Put an object if the condition holds; says whether it stands there."""
        nonce = secrets.token_hex(16)
        about = {NONCE: nonce, DIGEST: hashlib.sha256(content).hexdigest()}
        try:
            self._ask(path, "put_object", Body=content, Metadata=about, **condition)
        except StoreError as error:
            is_gone = error.error_kind == ErrorKind.SOURCE_MISSING and "IfMatch" in condition
            if error.error_kind != ErrorKind.SOURCE_CHANGED and not is_gone:
                raise
            head = if_there(lambda: self._ask(path, "head_object"))
            return head is not None and head["Metadata"].get(NONCE) == nonce
        return True

    def _ask(self, path: str, method: str, **arguments: Any) -> dict[str, Any]:
        """The reply to a request about one of the root's objects."""
        uri = self.uri(path)
        bucket, key = bucket_and_key(uri)
        asked = {"Bucket": bucket, "Key": key, **arguments}
        return ask(uri, self._settings, method, tries=PATIENT_TRIES, **asked)
