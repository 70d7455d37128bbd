"""Which videos a manifest names: each of its lines as one that can be used, or why it cannot.

A line that cannot be used is named and never ends a run; a manifest that has no other lines does,
since somebody has mixed up files.
"""

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from flexivideo.errors import SettingsError
from pipeline.local_uri import FILE_SCHEME, S3_SCHEME, to_path, to_uri
from pipeline.manifest_rows import manifest_rows
from pipeline.store_settings import StoreSettings

__all__ = ["ManifestLine", "manifest_lines"]

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# What a store takes at all; another name would only be refused, object by object.
BUCKET, MAX_KEY_BYTES = re.compile(r"[A-Za-z0-9._-]{3,255}"), 1024
# Some tools write a column of numbers that has gaps as 12.0.
WHOLE_NUMBER, MAX_SIZE = re.compile(r"([0-9]+)(\.0*)?"), 2**63 - 1
# It stands in a header, between quotes.
ETAG = re.compile(r"[!#-~]+")

# Of what a line holds, in the reason why it cannot be used.
MOST_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class ManifestLine:
    """A video, as a manifest names it.

    Attributes:
        uri: as it will stand in the tables.
        etag: of an object's version, without quotes; None: not given.
        size_bytes: None: not given.
    """

    uri: str
    etag: str | None
    size_bytes: int | None


def manifest_lines(
    source: str, store: StoreSettings, unusable: Callable[[str], None]
) -> Iterator[ManifestLine]:
    """The lines of a manifest that can be used, in its order.

    Args:
        source: path or ``s3://bucket/key`` of a file that :mod:`pipeline.manifest_rows` knows.
        store: how object stores are reached.
        unusable: told of each other line, by file and number, and why.

    Raises:
        SettingsError: if the file cannot be read, or has no line that can be used.
    """
    remote = source.startswith(S3_SCHEME)
    folder = None if remote else os.path.dirname(os.path.abspath(source))
    n_used, first_reason = 0, ""
    for number, fields in manifest_rows(source, store):
        try:
            if isinstance(fields, str):
                raise ValueError(fields)
            line = ManifestLine(
                uri=_uri(fields["uri"], folder),
                etag=_etag(fields.get("etag")),
                size_bytes=_size(fields.get("size_bytes")),
            )
        except ValueError as error:
            reason = f"{source}:{number}: {error}"
            first_reason = first_reason or reason
            unusable(reason)
            continue
        n_used += 1
        yield line
    if not n_used:
        first = f", the first for this reason: {first_reason}" if first_reason else " at all"
        raise SettingsError(
            f"manifest {source!r} has no line that can be used{first}; "
            f"expected paths of files and s3:// objects"
        )


def _uri(value: object, folder: str | None) -> str:
    """The canonical URI.

    Args:
        value: what stands in the line.
        folder: what paths are relative to; None: nothing.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("the uri is empty; expected a path or an s3:// object")
    if not isinstance(value, str):
        raise ValueError(f"the uri is {_shown(value)}; expected text")
    if not value.isascii():
        _see_that_it_is_utf8(value)
    if value.startswith(S3_SCHEME):
        path = value
        bucket, _, key = value.removeprefix(S3_SCHEME).partition("/")
        if not BUCKET.fullmatch(bucket) or not 0 < len(key.encode()) <= MAX_KEY_BYTES:
            raise ValueError(f"the uri is {_shown(value)}; expected s3://bucket/key")
    elif value.startswith(FILE_SCHEME + "/"):  # as our tables name what is no UTF-8
        path = to_path(value)
    elif SCHEME.match(value):
        raise ValueError(f"the uri is {_shown(value)}; expected a path or an s3:// object")
    elif folder is None and not os.path.isabs(value):
        raise ValueError(
            f"the uri is {_shown(value)}, a relative path in a manifest that is an object; "
            f"expected an absolute path or an s3:// object"
        )
    else:
        path = os.path.join(folder or "/", value)
    if "\0" in path:
        raise ValueError(f"the uri is {_shown(value)}; expected no NUL in it")
    return path if path.startswith(S3_SCHEME) else to_uri(path)


def _see_that_it_is_utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the uri is {_shown(text)}; expected UTF-8") from error


def _etag(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        etag = value.strip().strip('"')
        if ETAG.fullmatch(etag):
            return etag
    raise ValueError(f"the etag is {_shown(value)}; expected what a store calls an object's ETag")


def _size(value: object) -> int | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    size = -1
    if isinstance(value, str):
        number = WHOLE_NUMBER.fullmatch(value.strip())
        # More digits than any size has are no number to Python either.
        size = int(number[1]) if number and len(number[1]) <= MOST_SHOWN else -1
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        size = int(value) if 0 <= value <= MAX_SIZE and value == int(value) else -1
    if not 0 <= size <= MAX_SIZE:
        raise ValueError(f"size_bytes is {_shown(value)}; expected a whole number of bytes")
    return size


def _shown(value: object) -> str:
    return repr(value[:MOST_SHOWN] if isinstance(value, str | bytes) else value)[: 2 * MOST_SHOWN]
