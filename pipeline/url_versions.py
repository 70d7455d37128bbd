"""Which version of a web address a reply holds, and how that version is asked for.

A strong ETag is the version, as of an object in a store. Where there is none, the length and the
time of the last change are; where a server says no time either, the length alone: then a change
that keeps it is not noticed from one run to the next. A weak ETag promises no bytes, and is none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from pipeline.patience import TornReply

__all__ = ["UrlVersion"]

STRONG = re.compile(r'"([!#-~]+)"')
# No ETag has a space.
BY_LENGTH = re.compile(r"(\d+) bytes(?: of (.+))?")


@dataclass(frozen=True, kw_only=True)
class UrlVersion:
    """A version.

    Attributes:
        etag: strong, without quotes; None: it has none.
        modified_at: when it was last changed, UTC; None: unknown.
    """

    etag: str | None
    modified_at: datetime | None

    @classmethod
    def of_reply(cls, headers: Mapping[str, str]) -> "UrlVersion":
        """What a reply says of its version."""
        etag = STRONG.fullmatch(headers.get("ETag", ""))
        return cls(etag=etag[1] if etag else None, modified_at=_time(headers.get("Last-Modified")))

    @classmethod
    def of_name(cls, version: str) -> "UrlVersion":
        """Inverse of :meth:`name`, as far as a version is asked for by it."""
        by_length = BY_LENGTH.fullmatch(version)
        if by_length is None:
            return cls(etag=version, modified_at=None)
        time = by_length[2]
        return cls(etag=None, modified_at=datetime.fromisoformat(time) if time else None)

    def name(self, size_bytes: int) -> str:
        """As it stands in the tables."""
        if self.etag is not None:
            return self.etag
        if self.modified_at is None:
            return f"{size_bytes} bytes"
        return f"{size_bytes} bytes of {self.modified_at.isoformat()}"

    @property
    def condition(self) -> dict[str, str]:
        """The header that asks for this version and no other; none where it cannot be asked for."""
        if self.etag is not None:
            return {"If-Match": f'"{self.etag}"'}
        if self.modified_at is not None:
            return {"If-Unmodified-Since": format_datetime(self.modified_at, usegmt=True)}
        return {}

    def check(self, headers: Mapping[str, str]) -> None:
        """See that a reply holds this version.

        Raises:
            TornReply: if it does not say so.
        """
        said = UrlVersion.of_reply(headers)
        if self.etag is not None and said.etag != self.etag:
            raise TornReply(f"the reply is of version {said.etag!r}; expected {self.etag!r}")
        if self.etag is None and said.modified_at != self.modified_at:
            raise TornReply(
                f"the reply was changed at {said.modified_at}; expected {self.modified_at}"
            )


def _time(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None
