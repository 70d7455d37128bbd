"""Names of videos that are on no disk: which kinds there are, and whether a name is one.

s3://bucket/key                      an object of an S3 store
https://host/path, http:// if asked  an address on the web, presigned ones among them
gs:// gcs:// az:// abfs:// abfss://  an object that a package of fsspec's reaches
"""

import re

from pipeline.local_uri import S3_SCHEME
from pipeline.signed_urls import SCHEMES as WEB_SCHEMES
from pipeline.signed_urls import WebAddress, shown, web_address

__all__ = ["EXPECTED", "EXTRAS", "is_on_web", "is_remote", "remote_name", "scheme"]

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

# What a store takes at all; another name would only be refused, object by object.
BUCKET, MAX_KEY_BYTES = re.compile(r"[A-Za-z0-9._-]{3,255}"), 1024

# The packages that reach other stores, by our extras. No other scheme of fsspec's is taken: some
# of them read local files, chain addresses or run what they fetch.
EXTRAS = {
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "azure"),
}

EXPECTED = "a path or an object: s3://, https://, gs:// or az://"


def scheme(name: str) -> str | None:
    """What stands before ``://``, in lower case; None for paths and ``file://``."""
    found = SCHEME.match(name)
    return found[1].lower() if found and found[1].lower() != "file" else None


def is_remote(name: str) -> bool:
    """Whether it is on no disk."""
    return scheme(name) is not None


def is_on_web(name: str) -> bool:
    """Whether it is an address that a browser takes."""
    return scheme(name) in WEB_SCHEMES


def remote_name(text: str, *, plain_http: bool) -> WebAddress:
    """One object's name and what signs it; only addresses on the web are signed.

    Args:
        text: what somebody wrote.
        plain_http: whether ``http://`` is one.

    Raises:
        ValueError: if it is the name of no object.
    """
    kind = scheme(text)
    if kind in WEB_SCHEMES:
        if kind == "http" and not plain_http:
            raise ValueError(
                f"the address is {shown(text)}, which anybody on the way can read and change; "
                f"expected https://, or --plain-http where the way is trusted"
            )
        return web_address(text)
    container, _, key = text.partition("://")[2].partition("/")
    if kind == "s3" and text.startswith(S3_SCHEME):
        if not BUCKET.fullmatch(container) or not 0 < len(key.encode()) <= MAX_KEY_BYTES:
            raise ValueError(f"the uri is {shown(text)}; expected s3://bucket/key")
        return WebAddress(text, None)
    if kind in EXTRAS and text.startswith(kind):
        if not container or not key or "::" in text:
            raise ValueError(f"the uri is {shown(text)}; expected {kind}://container/key")
        return WebAddress(text, None)
    raise ValueError(f"the uri is {shown(text)}; expected {EXPECTED}")
