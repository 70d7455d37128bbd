"""Paths of the local disk as URIs and back, whatever bytes stand in a name.

A path is its own URI, so that people read and join on what they typed. A name that is not UTF-8
cannot stand in an Arrow string; such a path becomes a percent-encoded ``file://`` URI. Absolute
paths begin with a slash, so the two forms never meet.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from flexivideo.errors import SettingsError

__all__ = ["FILE_SCHEME", "S3_SCHEME", "on_a_disk", "prefixes", "to_path", "to_uri"]

FILE_SCHEME = "file://"

# An object, not a path.
S3_SCHEME = "s3://"

# How an address begins, also once it was taken for a path, which leaves one slash of two.
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def on_a_disk(option: str, path: Path | None) -> None:
    """Refuse an address where only a file or folder of a disk will do.

    Raises:
        SettingsError: if it is one; it would become a folder of that name.
    """
    if path is not None and ADDRESS.match(str(path)):
        raise SettingsError(
            f"{option} is {str(path)!r}, the address of a store; expected a file or folder on a "
            f"disk: copy it from there, or to there afterwards"
        )


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
