"""Object stores: how they are reached, what is in them, and one version of an object's bytes.

By s3fs, which is built anew in each process from settings that hold no secret: credentials come
from the environment, a profile or the machine's role, as for every tool of that store.

Every range is asked for in the listed version (``If-Match``), and the reply's length, place and
ETag are looked at, since a proxy may cut, delay or mix what a store has sent. What fails is tried
again; what has changed meanwhile is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import aiohttp
import s3fs
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from fsspec.asyn import sync

from flexivideo.errors import SourceUnavailable
from pipeline.local_uri import S3_SCHEME
from pipeline.outcomes import ErrorKind
from pipeline.settings import StoreSettings

__all__ = ["ListedObject", "ObjectReader", "list_objects", "look_up"]

# Of one request. A store that is silent for so long in the middle of a reply has lost it.
TRIES, STALL_S, FIRST_WAIT_S = 5, 10.0, 0.2
CHUNK_BYTES = 1 << 18

# Of a page of a listing: the most that stores give.
PAGE_OBJECTS = 1000

# No layer below tries again on its own: the tries would multiply.
CLIENT = {"connect_timeout": 3, "read_timeout": 10, "retries": {"total_max_attempts": 1}}
STORE_TRIES = 1

CHANGED = frozenset({"PreconditionFailed", "412"})
MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "NotFound", "404"})
DENIED = frozenset(
    "AccessDenied Forbidden InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken 403".split()
)


@dataclass(frozen=True, kw_only=True)
class ListedObject:
    """An object as a listing shows it.

    Attributes:
        uri: ``s3://bucket/key``.
        etag: of its version, without quotes.
        size_bytes: its length.
    """

    uri: str
    etag: str
    size_bytes: int


# What s3fs and the layers below it raise.
FAILURES = (OSError, ValueError, BotoCoreError, ClientError, aiohttp.ClientError)


Answer = TypeVar("Answer")


class _Torn(OSError):
    """A reply that is not what was asked for."""


class ObjectReader:
    """One version of an object, range by range."""

    def __init__(self, uri: str, etag: str, settings: StoreSettings) -> None:
        self._uri, self._etag = uri, etag
        self._bucket, self._key = _place(uri)
        self._store = _filesystem(settings)

    def read(self, start: int, end: int) -> "Future[bytes]":
        """Bytes ``start`` to ``end``, not included, on their way.

        The future raises SourceUnavailable if the object is gone, changed, out of reach, or came
        torn at every try.
        """
        return asyncio.run_coroutine_threadsafe(self._whole_range(start, end), self._store.loop)

    async def _whole_range(self, start: int, end: int) -> bytes:
        return await _tried(self._uri, lambda: self._try_range(start, end))

    async def _try_range(self, start: int, end: int) -> bytes:
        reply = await self._store._call_s3(
            "get_object",
            Bucket=self._bucket,
            Key=self._key,
            Range=f"bytes={start}-{end - 1}",
            IfMatch=f'"{self._etag}"',
        )
        async with reply["Body"] as body:
            place, etag = reply.get("ContentRange", ""), _unquoted(reply.get("ETag", ""))
            if etag != self._etag:
                raise _Torn(f"the reply is of version {etag!r}; expected {self._etag!r}")
            if not place.startswith(f"bytes {start}-{end - 1}/"):
                raise _Torn(f"the reply holds {place!r}; expected bytes {start} to {end - 1}")
            parts = []
            while part := await asyncio.wait_for(body.read(CHUNK_BYTES), STALL_S):
                parts.append(part)
        content = b"".join(parts)
        if len(content) != end - start:
            raise _Torn(f"{len(content)} bytes came; expected {end - start}")
        return content


def list_objects(prefix: str, settings: StoreSettings) -> Iterator[ListedObject]:
    """Objects whose URI begins with a prefix, in the order of their keys, page by page.

    Raises:
        SourceUnavailable: if the store refuses or cannot be reached.
    """
    bucket, key = _place(prefix)
    more: dict[str, str] = {}
    while True:
        page = _asked(
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
                etag=_unquoted(entry["ETag"]),
                size_bytes=entry["Size"],
            )
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def look_up(uri: str, settings: StoreSettings) -> ListedObject | None:
    """An object as it is now; None if it is absent.

    Raises:
        SourceUnavailable: if the store refuses or cannot be reached.
    """
    bucket, key = _place(uri)
    if not key:
        return None
    try:
        head = _asked(uri, settings, "head_object", Bucket=bucket, Key=key)
    except SourceUnavailable as error:
        if error.error_kind == ErrorKind.SOURCE_MISSING:
            return None
        raise
    return ListedObject(uri=uri, etag=_unquoted(head["ETag"]), size_bytes=head["ContentLength"])


def _asked(uri: str, settings: StoreSettings, method: str, **arguments: Any) -> dict[str, Any]:
    store = _filesystem(settings)
    reply: dict[str, Any] = sync(
        store.loop, _tried, uri, lambda: store._call_s3(method, **arguments)
    )
    return reply


async def _tried(uri: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What is asked for; asked again where that can help, after longer and longer waits."""
    for failures in range(TRIES):
        if failures:
            await asyncio.sleep(FIRST_WAIT_S * 2 ** (failures - 1))
        try:
            return await ask()
        except FAILURES as error:
            failure = _failure(error, uri)
            if failure.error_kind != ErrorKind.SOURCE_UNAVAILABLE:
                raise failure from error
            last, cause = failure, error
    raise last from cause


@lru_cache(maxsize=8)
def _filesystem(settings: StoreSettings) -> s3fs.S3FileSystem:
    store = s3fs.S3FileSystem(
        anon=settings.anonymous,
        profile=settings.profile,
        endpoint_url=settings.endpoint_url,
        requester_pays=settings.requester_pays,
        config_kwargs=CLIENT,
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    store.retries = STORE_TRIES
    return store


def _failure(error: Exception, uri: str) -> SourceUnavailable:
    """The error as what it is to a run; never with a header or a signed address in it."""
    code = _code(error)
    if code in CHANGED:
        kind, what = ErrorKind.SOURCE_CHANGED, "has changed since it was listed: run again"
    elif code in MISSING or isinstance(error, FileNotFoundError):
        kind, what = ErrorKind.SOURCE_MISSING, "is not there any more"
    elif code in DENIED or isinstance(error, PermissionError | NoCredentialsError):
        kind, what = ErrorKind.SOURCE_DENIED, "may not be read with these credentials"
    else:
        reason = str(error) if isinstance(error, _Torn) else code or type(error).__name__
        kind, what = ErrorKind.SOURCE_UNAVAILABLE, f"could not be read: {reason}"
    return SourceUnavailable(kind, f"{uri!r} {what}")


def _code(error: BaseException | None) -> str:
    """The store's own code for a failure, which s3fs hides in the cause."""
    while error is not None:
        if isinstance(error, ClientError):
            return str(error.response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix(S3_SCHEME).partition("/")
    return bucket, key


def _unquoted(etag: str) -> str:
    return etag.strip('"')
