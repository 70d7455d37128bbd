"""What is in an object store, and one version of an object's bytes.

Every range is asked for in the listed version (``If-Match``), and the reply's length, place and
ETag are looked at, since a proxy may cut, delay or mix what a store has sent.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

import s3fs
from fsspec.asyn import sync

from pipeline.local_uri import S3_SCHEME
from pipeline.object_requests import (
    ask,
    bucket_and_key,
    filesystem,
    tried,
    unquoted,
)
from pipeline.patience import PATIENT_TRIES, TornReply, if_there
from pipeline.store_settings import StoreSettings

__all__ = [
    "DIGEST",
    "ListedObject",
    "ObjectContent",
    "ObjectReader",
    "list_objects",
    "look_up",
    "read_object",
]

# What stands in the metadata of an object that we have put: the SHA-256 of its bytes.
DIGEST = "sha256"

# A store that is silent for so long in the middle of a reply has lost it.
STALL_S = 3.0
CHUNK_BYTES = 1 << 18

# Of a page of a listing: the most that stores give.
PAGE_OBJECTS = 1000


@dataclass(frozen=True, kw_only=True)
class ListedObject:
    """An object as a listing shows it.

    Attributes:
        uri: ``s3://bucket/key``.
        etag: of its version, without quotes.
        size_bytes: its length.
        modified_at: when it was put there, UTC.
    """

    uri: str
    etag: str
    size_bytes: int
    modified_at: datetime


class ObjectReader:
    """One version of an object, range by range."""

    def __init__(
        self, uri: str, etag: str, settings: StoreSettings, *, size_bytes: int | None = None
    ) -> None:
        """Nothing is asked for yet.

        Args:
            uri: ``s3://bucket/key``.
            etag: of the version, without quotes.
            settings: how the store is reached.
            size_bytes: what somebody said of its length, which replies are held against.
        """
        self._uri, self._etag, self._size_bytes = uri, etag, size_bytes
        self._bucket, self._key = bucket_and_key(uri)
        self._store = filesystem(settings)

    def read(self, start: int, end: int) -> "Future[bytes]":
        """Bytes ``start`` to ``end``, not included, on their way.

        The future raises StoreError if the object is gone, changed, out of reach, or came
        torn at every try.
        """
        return asyncio.run_coroutine_threadsafe(self._whole_range(start, end), self._store.loop)

    async def _whole_range(self, start: int, end: int) -> bytes:
        return await tried(self._uri, lambda: self._try_range(start, end))

    async def _try_range(self, start: int, end: int) -> bytes:
        reply = await self._store._call_s3(
            "get_object",
            Bucket=self._bucket,
            Key=self._key,
            Range=f"bytes={start}-{end - 1}",
            IfMatch=f'"{self._etag}"',
        )
        content = await _body(reply, end - start)
        place, etag = reply.get("ContentRange", ""), unquoted(reply.get("ETag", ""))
        if etag != self._etag:
            raise TornReply(f"the reply is of version {etag!r}; expected {self._etag!r}")
        if not place.startswith(f"bytes {start}-{end - 1}/"):
            raise TornReply(f"the reply holds {place!r}; expected bytes {start} to {end - 1}")
        n_bytes = place.rpartition("/")[2]  # a star where it is not known
        if self._size_bytes is not None and n_bytes not in ("*", str(self._size_bytes)):
            raise TornReply(f"the object has {n_bytes} bytes; listed as {self._size_bytes}")
        return content


class ObjectContent(NamedTuple):
    """A small object as it was at one moment."""

    content: bytes
    etag: str


def read_object(uri: str, settings: StoreSettings) -> ObjectContent | None:
    """All of an object; None if it is absent.

    Raises:
        StoreError: if the store refuses, cannot be reached, or gave other bytes than were put.
    """
    store = filesystem(settings)
    return if_there(
        lambda: sync(store.loop, tried, uri, lambda: _try_whole(store, uri), PATIENT_TRIES)
    )


async def _try_whole(store: s3fs.S3FileSystem, uri: str) -> ObjectContent:
    bucket, key = bucket_and_key(uri)
    reply = await store._call_s3("get_object", Bucket=bucket, Key=key)
    content = await _body(reply, reply["ContentLength"])
    put = reply["Metadata"].get(DIGEST)
    if put not in (None, sha256(content).hexdigest()):
        raise TornReply("the bytes are not those that were put")
    return ObjectContent(content, unquoted(reply["ETag"]))


async def _body(reply: dict[str, Any], n_bytes: int) -> bytes:
    parts = []
    async with reply["Body"] as body:
        while part := await asyncio.wait_for(body.read(CHUNK_BYTES), STALL_S):
            parts.append(part)
    content = b"".join(parts)
    if len(content) != n_bytes:
        raise TornReply(f"{len(content)} bytes came; expected {n_bytes}")
    return content


def list_objects(prefix: str, settings: StoreSettings) -> Iterator[ListedObject]:
    """Objects whose URI begins with a prefix, in the order of their keys, page by page.

    Raises:
        StoreError: if the store refuses or cannot be reached.
    """
    bucket, key = bucket_and_key(prefix)
    more: dict[str, Any] = {}
    while True:
        page = ask(
            prefix,
            settings,
            "list_objects_v2",
            Bucket=bucket,
            Prefix=key,
            MaxKeys=PAGE_OBJECTS,
            **more,
        )
        for entry in page.get("Contents", ()):
            yield ListedObject(
                uri=f"{S3_SCHEME}{bucket}/{entry['Key']}",
                etag=unquoted(entry["ETag"]),
                size_bytes=entry["Size"],
                modified_at=entry["LastModified"].astimezone(UTC),
            )
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def look_up(uri: str, settings: StoreSettings) -> ListedObject | None:
    """An object as it is now; None if it is absent.

    Raises:
        StoreError: if the store refuses or cannot be reached.
    """
    bucket, key = bucket_and_key(uri)
    if not key:
        return None
    head = if_there(lambda: ask(uri, settings, "head_object", Bucket=bucket, Key=key))
    if head is None:
        return None
    return ListedObject(
        uri=uri,
        etag=unquoted(head["ETag"]),
        size_bytes=head["ContentLength"],
        modified_at=head["LastModified"].astimezone(UTC),
    )
