"""What is at a web address, and the bytes of one version of it.

By ranges where the server gives ranges and its version can be asked for (``If-Match``, else
``If-Unmodified-Since``); each reply's version, length and place are looked at. A server that gives
no ranges sends all from the first byte to the last, and that one reply is read as it comes; where
it breaks off, another one of the same version begins again. What has no version is read from one
reply or not at all.
"""

import asyncio
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import aiohttp
from fsspec.asyn import get_loop, sync

from flexivideo.errors import StoreError
from pipeline.outcomes import ErrorKind
from pipeline.patience import TornReply, if_there, patiently
from pipeline.signed_urls import WebAddress
from pipeline.url_requests import judged, reply_to, some_bytes
from pipeline.url_versions import UrlVersion

__all__ = ["FoundUrl", "UrlReader", "look_up"]

EMPTY = 416  # no server can give the first byte of nothing


@dataclass(frozen=True, kw_only=True)
class FoundUrl:
    """What is at an address now.

    Attributes:
        version: its name; see ``pipeline.url_versions``.
        size_bytes: its length.
        modified_at: when it was last changed, UTC; None: unknown.
    """

    version: str
    size_bytes: int
    modified_at: datetime | None


def look_up(address: WebAddress) -> FoundUrl | None:
    """What is there; None if nothing is.

    By a GET of the first byte: a signature holds for one method.

    Raises:
        StoreError: if the server refuses, cannot be reached, or does not say the length.
    """
    return if_there(lambda: sync(get_loop(), patiently, lambda: _first_byte(address)))


async def _first_byte(address: WebAddress) -> FoundUrl:
    with judged(address):
        reply = await reply_to(address, {"Range": "bytes=0-0"}, also=frozenset({EMPTY}))
        with closing(reply):
            length = _length(reply)
            if length is None:
                raise TornReply("the reply does not say how long it is")
            version = UrlVersion.of_reply(reply.headers)
            return FoundUrl(
                version=version.name(length), size_bytes=length, modified_at=version.modified_at
            )


def _length(reply: aiohttp.ClientResponse) -> int | None:
    """Of the whole; None where it is not said."""
    if reply.status == 200:
        length = reply.headers.get("Content-Length", "")
    else:
        length = reply.headers.get("Content-Range", "").rpartition("/")[2]
    return int(length) if length.isdecimal() else None


class UrlReader:
    """One version of what is at an address, range by range."""

    def __init__(self, address: WebAddress, version: str, *, size_bytes: int) -> None:
        """Nothing is asked for yet."""
        self._address, self._size_bytes = address, size_bytes
        self._version = UrlVersion.of_name(version)
        self._turn = asyncio.Lock()
        self._gives_ranges = False  # or it is not known yet
        # A reply with everything, and the place of the next byte that it brings.
        self._whole: aiohttp.ClientResponse | None = None
        self._place = 0

    def read(self, start: int, end: int) -> "Future[bytes]":
        """Bytes ``start`` to ``end``, not included, on their way.

        The future raises StoreError if they are gone, changed, out of reach, or came torn at every
        try.
        """
        return asyncio.run_coroutine_threadsafe(self._read(start, end), get_loop())

    def close(self) -> None:
        """Let go of what is still coming."""
        get_loop().call_soon_threadsafe(self._drop)

    async def _read(self, start: int, end: int) -> bytes:
        async with self._turn:  # until it is known, one after another
            if not self._gives_ranges:
                return await patiently(lambda: self._try_in_order(start, end))
        return await patiently(lambda: self._try_range(start, end))

    async def _try_range(self, start: int, end: int) -> bytes:
        with judged(self._address), closing(await self._asked(start, end)) as reply:
            if reply.status != 206:
                raise TornReply("the server gave a range before, and now gives none")
            return await self._body(reply, start, end)

    async def _try_in_order(self, start: int, end: int) -> bytes:
        with judged(self._address):
            if self._whole is None or self._place > start:
                self._begin_again()
                reply = await self._asked(start, end)
                if reply.status == 206:
                    self._gives_ranges = True
                    with closing(reply):
                        return await self._body(reply, start, end)
                self._whole = reply
            try:
                while self._place < start:
                    await self._next_bytes(start - self._place)
                parts = []
                while self._place < end:
                    parts.append(await self._next_bytes(end - self._place))
            except BaseException:
                self._drop()
                raise
            if self._place == self._size_bytes:
                self._drop()
            return b"".join(parts)

    def _begin_again(self) -> None:
        self._drop()
        if self._place and not self._version.condition:
            raise StoreError(
                ErrorKind.SOURCE_CHANGED,
                f"{self._address.uri!r} broke off, and may have changed meanwhile: its server "
                f"names no version; run again",
            )
        self._place = 0

    async def _asked(self, start: int, end: int) -> aiohttp.ClientResponse:
        """A reply that says it is of this version and length."""
        condition = self._version.condition
        place = {"Range": f"bytes={start}-{end - 1}"} if condition else {}
        reply = await reply_to(self._address, {**condition, **place})
        try:
            self._version.check(reply.headers)
            length = _length(reply)
            if length != self._size_bytes and (length is not None or reply.status == 200):
                raise TornReply(f"it has {length} bytes; listed as {self._size_bytes}")
        except TornReply:
            reply.close()
            raise
        return reply

    async def _body(self, reply: aiohttp.ClientResponse, start: int, end: int) -> bytes:
        place = reply.headers.get("Content-Range", "")
        if not place.startswith(f"bytes {start}-{end - 1}/"):
            raise TornReply(f"the reply holds {place!r}; expected bytes {start} to {end - 1}")
        parts, n_bytes = [], 0
        # One byte more than was asked for shows that there are too many.
        while part := await some_bytes(reply, end - start - n_bytes + 1):
            parts.append(part)
            n_bytes += len(part)
            if n_bytes > end - start:
                break
        if n_bytes != end - start:
            raise TornReply(f"{n_bytes} bytes came; expected {end - start}")
        return b"".join(parts)

    async def _next_bytes(self, most: int) -> bytes:
        """Of the reply with everything, which may be closed at any moment."""
        part = await some_bytes(self._whole, most) if self._whole is not None else b""
        if not part:
            raise TornReply(f"it ends after {self._place} bytes; expected {self._size_bytes}")
        self._place += len(part)
        return part

    def _drop(self) -> None:
        if self._whole is not None:
            self._whole.close()
        self._whole = None
