"""Web addresses, and what in them signs a request.

The same object, signed anew tomorrow, is the same video: its URI is the address without what signs
it, and only that is ever stored or shown. The rest of the query stays, since it may say which
object is meant (``versionId``, ``generation``, ``id``).
"""

import re
import string
from typing import NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

__all__ = ["SCHEMES", "WebAddress", "shown", "web_address"]

SCHEMES = ("https", "http")
DEFAULT_PORTS = {"https": 443, "http": 80}

# Amazon's signatures of version 4, Google's likewise: all their parameters.
SIGNING_PREFIXES = ("x-amz-", "x-goog-")

# What opens a door wherever it stands.
TOKENS = frozenset(
    "access_token api_key apikey auth_token hdnea hdntl hdnts jwt sig signature token".split()
)

# What belongs to a signature, but may mean something else where there is none: of Amazon's
# version 2, CloudFront, Google's version 2 and CDN; and of a shared access signature of Azure.
COMPANIONS = {
    "signature": frozenset(
        "awsaccesskeyid expires googleaccessid hash-algorithm key-pair-id keyname ossaccesskeyid "
        "policy security-token urlprefix".split()
    ),
    "sig": frozenset(
        "saoid scid sdd se ses si sip skoid skt sktid ske sks skv sp spr sr srt ss st suoid "
        "sv".split()
    ),
}

# What an address may be written in; the rest is encoded, as browsers do.
WRITTEN = string.ascii_letters + string.digits + string.punctuation
MOST_SHOWN = 100
UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f]")


class WebAddress(NamedTuple):
    """A web address in its two parts.

    Attributes:
        uri: without what signs it: its name for ever.
        signed_query: the whole query as it was given, where it signs; None: it does not.
    """

    uri: str
    signed_query: str | None

    @property
    def url(self) -> str:
        """What is asked for."""
        if self.signed_query is None:
            return self.uri
        return f"{self.uri.partition('?')[0]}?{self.signed_query}"


def web_address(text: str) -> WebAddress:
    """The two parts of an ``http://`` or ``https://`` address.

    Raises:
        ValueError: if it is none, or holds a name or a password.
    """
    if UNSPEAKABLE.search(text):
        raise ValueError(f"the address is {shown(text)}; expected no control characters in it")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:  # brackets that hold no address, a port that is no number
        port, host = None, None
    if not host or not host.isascii() or parts.scheme not in SCHEMES:
        raise ValueError(f"the address is {shown(text)}; expected https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            f"the address of {host!r} holds a name or a password; expected none: put them into "
            f"~/.netrc, where they are found"
        )
    where = f"[{host}]" if ":" in host else host
    if port not in (None, DEFAULT_PORTS[parts.scheme]):
        where += f":{port}"
    path, query = (quote(part, safe=WRITTEN) for part in (parts.path or "/", parts.query))
    kept = _unsigned(query)
    return WebAddress(
        urlunsplit((parts.scheme, where, path, kept, "")), None if kept == query else query
    )


def shown(value: object) -> str:
    """What may be said of what was taken for a name: not too much, and nothing that signs it."""
    if isinstance(value, str) and "://" in value:
        value = re.sub(r"(?<=//)[^/?#]*@", "", value.partition("?")[0])
    return repr(value[:MOST_SHOWN] if isinstance(value, str | bytes) else value)[: 2 * MOST_SHOWN]


def _unsigned(query: str) -> str:
    """The query without what signs."""
    fields = [(_name(field), field) for field in query.split("&")]
    names = {name for name, _ in fields}
    signing = TOKENS.union(*(names_ for mark, names_ in COMPANIONS.items() if mark in names))
    return "&".join(
        field
        for name, field in fields
        if name not in signing and not name.startswith(SIGNING_PREFIXES)
    )


def _name(field: str) -> str:
    return unquote_plus(field.partition("=")[0]).lower()
