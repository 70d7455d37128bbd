"""Requests for web addresses: how they are sent, what is followed, what a failure means.

By aiohttp, which s3fs is built on too, and not by fsspec's filesystem of the web, which gives a
range's bytes alone: without the status, the version and the place that a reply names, none of
which may be taken on trust.

An ``https://`` address may redirect to any other, and to nothing else; its certificate has to be
valid. Nothing is sent along but the range and the version that are asked for. Proxies and names and
passwords come from where such tools find them: ``HTTPS_PROXY`` and ``~/.netrc``.

No message holds a query: it may sign the address. So no error keeps what aiohttp said of it.
"""

import asyncio
import atexit
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from urllib.parse import urljoin

import aiohttp
from fsspec.asyn import get_loop
from yarl import URL

from flexivideo.errors import StoreError
from pipeline.outcomes import ErrorKind
from pipeline.patience import TornReply
from pipeline.signed_urls import WebAddress

__all__ = ["judged", "reply_to", "some_bytes"]

# A server that is silent for so long in the middle of a reply has lost it.
STALL_S = 3.0
CONNECT_S, FIRST_BYTE_S = 3.0, 10.0
CHUNK_BYTES = 1 << 18

REDIRECTS, MOST_REDIRECTS = frozenset({301, 302, 303, 307, 308}), 5
MISSING, CHANGED, BUSY = frozenset({404, 410}), frozenset({412, 416}), frozenset({408, 425, 429})
CONTENT = frozenset({200, 206})

# Bytes as they lie there, not packed for the way.
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "flexivideo"}

# What aiohttp and the layers below it raise.
FAILURES = (OSError, ValueError, aiohttp.ClientError, asyncio.TimeoutError)


@contextmanager
def judged(address: WebAddress) -> Iterator[None]:
    """What fails inside, as what it is to a run.

    Raises:
        StoreError: if the server refuses, cannot be reached, or sends what it was not asked for.
    """
    try:
        yield
    except StoreError:
        raise
    except aiohttp.ClientConnectorCertificateError:
        raise _error(
            ErrorKind.SOURCE_DENIED,
            address,
            "shows a certificate that is not trusted here; SSL_CERT_FILE may name one that is",
        ) from None
    except FAILURES as error:
        reason = str(error) if isinstance(error, TornReply) else type(error).__name__
        raise _error(ErrorKind.SOURCE_UNAVAILABLE, address, f"could not be had: {reason}") from None


async def reply_to(
    address: WebAddress, headers: Mapping[str, str], *, also: frozenset[int] = frozenset()
) -> aiohttp.ClientResponse:
    """The reply to a GET, with its body still to come; to be closed by whoever asked.

    Args:
        address: what is asked for.
        headers: besides those that all requests have.
        also: statuses that are an answer besides those with content.

    Raises:
        StoreError: if the server refuses.
        Exception: what :func:`judged` knows.
    """
    reply = await _followed(address, {**HEADERS, **headers})
    if reply.status not in CONTENT | also:
        reply.close()
        raise _refusal(reply.status, address)
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        reply.close()
        raise TornReply("the reply is packed, which nobody asked for")
    return reply


async def some_bytes(reply: aiohttp.ClientResponse, most: int) -> bytes:
    """The next bytes of a reply; none at its end, TimeoutError where they stop coming."""
    return await asyncio.wait_for(reply.content.read(min(most, CHUNK_BYTES)), STALL_S)


async def _followed(address: WebAddress, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
    url = address.url
    for _ in range(MOST_REDIRECTS + 1):
        reply = await _session().get(URL(url, encoded=True), headers=headers, allow_redirects=False)
        if reply.status not in REDIRECTS:
            return reply
        reply.close()
        there = urljoin(url, reply.headers.get("Location", ""))
        if not there.startswith(("https://", "http://") if url.startswith("http:") else "https://"):
            raise _error(
                ErrorKind.SOURCE_DENIED,
                address,
                "leads to what is no https:// address, which is not followed",
            )
        url = there
    raise _error(
        ErrorKind.SOURCE_DENIED, address, f"leads on and on; {MOST_REDIRECTS} times is followed"
    )


@lru_cache(maxsize=1)
def _session() -> aiohttp.ClientSession:
    """This process's; made in the loop that all its requests run in."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=FIRST_BYTE_S),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=True,
    )
    atexit.register(_close, session)
    return session


def _close(session: aiohttp.ClientSession) -> None:
    with suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(session.close(), get_loop()).result(timeout=1)


def _refusal(status: int, address: WebAddress) -> StoreError:
    if status in MISSING:
        return _error(ErrorKind.SOURCE_MISSING, address, "is not there any more")
    if status in CHANGED:
        return _error(
            ErrorKind.SOURCE_CHANGED, address, "has changed since it was listed: run again"
        )
    if status >= 500 or status in BUSY:
        return _error(ErrorKind.SOURCE_UNAVAILABLE, address, f"could not be had: status {status}")
    if address.signed_query:
        said = f"is refused (status {status}): if what signs it has expired, sign it anew"
    else:
        said = f"is refused (status {status}): it may have to be signed"
    return _error(ErrorKind.SOURCE_DENIED, address, said)


def _error(kind: ErrorKind, address: WebAddress, said: str) -> StoreError:
    return StoreError(kind, f"{address.uri!r} {said}")
