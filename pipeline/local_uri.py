"""Paths of the local disk as URIs and back, whatever bytes stand in a name.

A path is its own URI, so that people read and join on what they typed. A name that is not UTF-8
cannot stand in an Arrow string; such a path becomes a percent-encoded ``file://`` URI. Absolute
paths begin with a slash, so the two forms never meet.
"""

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

__all__ = ["FILE_SCHEME", "S3_SCHEME", "prefixes", "to_path", "to_uri"]

FILE_SCHEME = "file://"

# An object, not a path.
S3_SCHEME = "s3://"


def to_uri(path: str) -> str:
    """URI of a path (made absolute; links are kept as they are named)."""
    absolute = os.path.abspath(path)
    try:
        absolute.encode("utf-8")
    except UnicodeEncodeError:
        return FILE_SCHEME + quote_from_bytes(os.fsencode(absolute))
    return absolute


def prefixes(folder: str) -> tuple[str, str]:
    """What the URIs of a folder's files begin with: of names that are UTF-8, and of the others.

    Args:
        folder: URI of a folder, which ends in a slash.
    """
    return to_path(folder), FILE_SCHEME + quote_from_bytes(os.fsencode(to_path(folder)))


def to_path(uri: str) -> str:
    """Path that a URI of :func:`to_uri` names."""
    if uri.startswith(FILE_SCHEME):
        return os.fsdecode(unquote_to_bytes(uri.removeprefix(FILE_SCHEME)))
    return uri
