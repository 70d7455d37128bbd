"""Requests to an object store: how it is reached, what is tried again, what a failure means.

By s3fs, which is built anew in each process from settings that hold no secret: credentials come
from the environment, a profile or the machine's role, as for every tool of that store.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, TypeVar

import aiohttp
import s3fs
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    ProfileNotFound,
)
from fsspec.asyn import sync

from flexivideo.errors import SettingsError, StoreError
from pipeline.local_uri import S3_SCHEME
from pipeline.outcomes import ErrorKind
from pipeline.patience import TRIES, TornReply, patiently
from pipeline.store_settings import StoreSettings

__all__ = [
    "ask",
    "bucket_and_key",
    "filesystem",
    "tried",
    "unquoted",
]

# No layer below tries again on its own: the tries would multiply.
CLIENT = {"connect_timeout": 3, "read_timeout": 10, "retries": {"total_max_attempts": 1}}
STORE_TRIES = 1

CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "NotFound", "404"})
DENIED = frozenset(
    "AccessDenied Forbidden InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken 403".split()
)

# What no other try can mend: a name or a profile that cannot be.
MISTAKES = (ParamValidationError, ProfileNotFound)

# What s3fs and the layers below it raise.
FAILURES = (OSError, ValueError, BotoCoreError, ClientError, aiohttp.ClientError)

Answer = TypeVar("Answer")


def ask(
    uri: str, settings: StoreSettings, method: str, *, tries: int = TRIES, **arguments: Any
) -> dict[str, Any]:
    """The reply to one of S3's methods, whose body nobody reads.

    Args:
        uri: what it is about, for the message.
        settings: how the store is reached.
        method: its name in botocore, such as ``head_object``.
        tries: how often it is asked at most.
        arguments: the method's.

    Raises:
        StoreError: if the store refuses or cannot be reached.
    """
    store = filesystem(settings)
    reply: dict[str, Any] = sync(
        store.loop, tried, uri, lambda: store._call_s3(method, **arguments), tries
    )
    return reply


async def tried(uri: str, attempt: Callable[[], Awaitable[Answer]], tries: int = TRIES) -> Answer:
    """What an attempt gives; made again where that can help.

    Raises:
        StoreError: if it cannot help, or did not.
        SettingsError: if no store could answer that.
    """
    return await patiently(lambda: _judged(uri, attempt), tries)


async def _judged(uri: str, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    try:
        return await attempt()
    except MISTAKES as error:
        raise SettingsError(f"{uri!r} cannot be asked for: {error}") from error
    except FAILURES as error:
        raise _failure(error, uri) from error


@lru_cache(maxsize=8)
def filesystem(settings: StoreSettings) -> s3fs.S3FileSystem:
    """This process's client of a store."""
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


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The two parts of ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix(S3_SCHEME).partition("/")
    return bucket, key


def unquoted(etag: str) -> str:
    """An ETag as the tables hold it: some replies quote it, others do not."""
    return etag.strip('"')


def _failure(error: Exception, uri: str) -> StoreError:
    """The error as what it is to a run; never with a header or a signed address in it."""
    code = _code(error)
    if code in CHANGED:
        kind, what = ErrorKind.SOURCE_CHANGED, "has changed since it was listed: run again"
    elif code in MISSING or isinstance(error, FileNotFoundError):
        kind, what = ErrorKind.SOURCE_MISSING, "is not there any more"
    elif code in DENIED or isinstance(error, PermissionError | NoCredentialsError):
        kind, what = ErrorKind.SOURCE_DENIED, "is refused with these credentials"
    else:
        reason = str(error) if isinstance(error, TornReply) else code or type(error).__name__
        kind, what = ErrorKind.SOURCE_UNAVAILABLE, f"could not be had from the store: {reason}"
    return StoreError(kind, f"{uri!r} {what}")


def _code(error: BaseException | None) -> str:
    """The store's own code for a failure, which s3fs hides in the cause."""
    while error is not None:
        if isinstance(error, ClientError):
            return str(error.response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""
