"""Which videos a manifest names: each of its lines as one that can be used, or why it cannot.

A line that cannot be used is named and never ends a run; a manifest that has no other lines does,
since somebody has mixed up files.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from flexivideo.errors import SettingsError
from pipeline.local_uri import FILE_SCHEME, S3_SCHEME, to_path, to_uri
from pipeline.manifest_rows import manifest_rows
from pipeline.remote_names import EXPECTED, is_remote, remote_name
from pipeline.signed_urls import WebAddress, shown
from pipeline.store_settings import StoreSettings
from pipeline.time_ranges import TimeRange, time_range

__all__ = ["ManifestLine", "manifest_lines"]

# Some tools write a column of numbers that has gaps as 12.0.
WHOLE_NUMBER, MAX_SIZE = re.compile(r"([0-9]+)(\.0*)?"), 2**63 - 1
MOST_DIGITS = 100
# What would end the question and begin something else.
CONTROL, MOST_PROMPT = re.compile(r"<\||[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"), 4000
# It stands in a header, between quotes.
ETAG = re.compile(r"[!#-~]+")


@dataclass(frozen=True, kw_only=True)
class ManifestLine:
    """A video, as a manifest names it.

    Attributes:
        uri: as it will stand in the tables.
        etag: of an object's version, without quotes; None: not given.
        size_bytes: None: not given.
        time_range: the part that is asked for; None: all of it.
        prompt: what the model is asked of it; None: what it is asked of the others.
        signed_query: the whole query of an address that is signed, in the clear; None: it is not.
    """

    uri: str
    etag: str | None
    size_bytes: int | None
    time_range: TimeRange | None
    prompt: str | None
    signed_query: str | None = field(repr=False)


def manifest_lines(
    source: str, store: StoreSettings, unusable: Callable[[str], None], left: Counter[str]
) -> Iterator[ManifestLine]:
    """The lines of a manifest that can be used, in its order.

    Args:
        source: path or ``s3://bucket/key`` of a file that :mod:`pipeline.manifest_rows` knows.
        store: how object stores are reached.
        unusable: told of each other line, by file and number, and why.
        left: counts what an inventory holds that is no video, by extension.

    Raises:
        SettingsError: if the file cannot be read, or has no line that can be used.
    """
    remote = source.startswith(S3_SCHEME)
    folder = None if remote else os.path.dirname(os.path.abspath(source))
    n_used, first_reason = 0, ""
    for number, fields in manifest_rows(source, store, left):
        try:
            if isinstance(fields, str):
                raise ValueError(fields)
            name = _name(fields["uri"], folder, store)
            line = ManifestLine(
                uri=name.uri,
                signed_query=name.signed_query,
                etag=_etag(fields.get("etag")),
                size_bytes=_size(fields.get("size_bytes")),
                time_range=time_range(fields.get("start_s"), fields.get("end_s")),
                prompt=_prompt(fields.get("prompt")),
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
            f"expected paths of files and objects"
        )


def _name(value: object, folder: str | None, store: StoreSettings) -> WebAddress:
    """The canonical URI, and what signs it.

    Args:
        value: what stands in the line.
        folder: what paths are relative to; None: nothing.
        store: which addresses are taken.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"the uri is empty; expected {EXPECTED}")
    if not isinstance(value, str):
        raise ValueError(f"the uri is {shown(value)}; expected text")
    if not value.isascii():
        _see_that_it_is_utf8("uri", value)
    if "\0" in value:
        raise ValueError(f"the uri is {shown(value)}; expected no NUL in it")
    if is_remote(value):
        return remote_name(value, plain_http=store.plain_http)
    if value.startswith(FILE_SCHEME + "/"):  # as our tables name what is no UTF-8
        path = to_path(value)
    elif value.lower().startswith(FILE_SCHEME):
        raise ValueError(f"the uri is {shown(value)}; expected {EXPECTED}")
    elif folder is None and not os.path.isabs(value):
        raise ValueError(
            f"the uri is {shown(value)}, a relative path in a manifest that is an object; "
            f"expected an absolute path or an object"
        )
    else:
        path = os.path.join(folder or "/", value)
    if "\0" in path:
        raise ValueError(f"the uri is {shown(value)}; expected no NUL in it")
    return WebAddress(to_uri(path), None)


def _see_that_it_is_utf8(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the {what} is {shown(text)}; expected UTF-8") from error


def _etag(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        etag = value.strip().strip('"')
        if ETAG.fullmatch(etag):
            return etag
    raise ValueError(f"the etag is {shown(value)}; expected what a store calls an object's ETag")


def _prompt(value: object) -> str | None:
    if value is None or value == "" or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise ValueError(f"the prompt is a {type(value).__name__}; expected text")
    _see_that_it_is_utf8("prompt", value)
    if len(value) > MOST_PROMPT:
        raise ValueError(f"the prompt has {len(value)} characters; expected at most {MOST_PROMPT}")
    if CONTROL.search(value):
        raise ValueError(
            "the prompt holds a control character or one of a model's own marks, as <|im_end|>; "
            "expected none"
        )
    return value.strip()


def _size(value: object) -> int | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    size = -1
    if isinstance(value, str):
        number = WHOLE_NUMBER.fullmatch(value.strip())
        # More digits than any size has are no number to Python either.
        size = int(number[1]) if number and len(number[1]) <= MOST_DIGITS else -1
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        size = int(value) if 0 <= value <= MAX_SIZE and value == int(value) else -1
    if not 0 <= size <= MAX_SIZE:
        raise ValueError(f"size_bytes is {shown(value)}; expected a whole number of bytes")
    return size
