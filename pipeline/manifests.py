"""Videos named by a manifest: a text file, CSV or Parquet, on a disk or in an object store.

A line a uri (``.txt``), or a row with the columns ``uri`` and, if one likes, ``etag`` and
``size_bytes`` (``.csv``, ``.parquet``). Where both of these stand, the store is not asked for an
S3 object again. A row that cannot be used is named and left; it stops nobody.
"""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from flexivideo.errors import SettingsError
from pipeline.identity import video_id
from pipeline.local_uri import S3_SCHEME, to_uri
from pipeline.records import VideoRef
from pipeline.store_settings import StoreSettings

__all__ = ["manifest_refs"]

COLUMNS = ("uri", "etag", "size_bytes")

# What a later release will take: a manifest that asks for it must not be taken for another.
RESERVED = ("start_s", "end_s", "prompt")

# Objects whose version has to be asked for, at a time: a request is a wait, not work.
LOOKED_UP_AT_ONCE = 32
CHUNK_ROWS = 256

Row = Mapping[str, Any]
Locate = Callable[[str], VideoRef | None]


def manifest_refs(
    manifest: str, *, store: StoreSettings, locate: Locate, unusable: list[str]
) -> Iterator[VideoRef]:
    """The videos of a manifest, in its order.

    Args:
        manifest: path or ``s3://`` uri, whose extension says of which kind it is.
        store: how object stores are reached.
        locate: gives a video in the version that it has now; None if it is not there.
        unusable: takes ``manifest:number: reason`` of each row that cannot be used, counted from 1
            (the line of a CSV's header among them).

    Raises:
        SettingsError: if it cannot be read, is of no known kind, has a column that asks for more,
            or has not one row that can be used; or if a store refuses or cannot be reached.
    """
    read = KINDS.get(os.path.splitext(manifest)[1].lower())
    if read is None:
        raise SettingsError(f"{manifest!r} is of no known kind; expected {', '.join(KINDS)}")
    n_found, reasons = 0, len(unusable)
    to_ref = partial(_ref, folder=os.path.dirname(os.path.abspath(manifest)), locate=locate)
    try:
        with _opened(manifest, store) as file, ThreadPoolExecutor(LOOKED_UP_AT_ONCE) as pool:
            rows = read(file)
            while chunk := list(islice(rows, CHUNK_ROWS)):
                answers = pool.map(to_ref, (row for _, row in chunk))
                for (number, _), answer in zip(chunk, answers, strict=True):
                    if isinstance(answer, str):
                        unusable.append(f"{manifest}:{number}: {answer}")
                    else:
                        n_found += 1
                        yield answer
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise SettingsError(f"{manifest!r} cannot be read: {error}") from error
    if not n_found:
        why = f"; the first: {unusable[reasons]}" if len(unusable) > reasons else ""
        raise SettingsError(f"{manifest!r} names no video{why}")


def _opened(manifest: str, store: StoreSettings) -> BinaryIO:
    if manifest.startswith(S3_SCHEME):
        from pipeline.object_files import ObjectFiles  # with s3fs, which files do not need

        file: BinaryIO = ObjectFiles(store).open(manifest)
        return file
    return open(manifest, "rb")


def _text_rows(file: BinaryIO) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(io.TextIOWrapper(file, "utf-8-sig", "surrogateescape"), 1):
        uri = line.rstrip("\r\n")
        if uri.strip() and not uri.startswith("#"):
            yield number, {"uri": uri}


def _csv_rows(file: BinaryIO) -> Iterator[tuple[int, Row]]:
    text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    reader = csv.DictReader(text, restval="")
    _check_columns(reader.fieldnames or ())
    for row in reader:
        yield reader.line_num, row


def _parquet_rows(file: BinaryIO) -> Iterator[tuple[int, Row]]:
    parquet = pq.ParquetFile(file)
    _check_columns(parquet.schema_arrow.names)
    columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
    number = 0
    for batch in parquet.iter_batches(CHUNK_ROWS, columns=columns):
        for row in batch.to_pylist():
            number += 1
            yield number, row


KINDS: dict[str, Callable[[BinaryIO], Iterator[tuple[int, Row]]]] = {
    ".txt": _text_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}


def _check_columns(names: Iterable[str]) -> None:
    names = list(names)
    reserved = [name for name in names if name in RESERVED]
    if reserved:
        raise ValueError(
            f"it has a column {reserved[0]!r}, which this release does not take yet; expected "
            f"{', '.join(COLUMNS)}"
        )
    if "uri" not in names:
        raise ValueError(f"its columns are {names}; expected uri, and etag and size_bytes if known")


def _ref(row: Row, *, folder: str, locate: Locate) -> VideoRef | str:
    """The video of a row, or why it cannot be used."""
    uri, etag, size = (row.get(name) for name in COLUMNS)
    if not isinstance(uri, str) or not uri.strip() or "\0" in uri:
        return f"uri is {uri!r}; expected a path or an s3:// uri"
    if not uri.startswith(S3_SCHEME):
        if "://" in uri:
            return f"uri is {uri!r}; expected a path or an s3:// uri"
        path = to_uri(os.path.join(folder, uri))
        return locate(path) or _missing(path)
    try:
        uri.encode("utf-8")
        size_bytes = None if size in (None, "") else int(size)
    except ValueError as error:
        return f"{error}; expected a uri in UTF-8 and size_bytes as a whole number"
    version = str(etag or "").strip('"')
    if version and size_bytes is not None:
        return VideoRef(
            uri=uri, version=version, video_id=video_id(uri, version), size_bytes=size_bytes
        )
    return locate(uri) or _missing(uri)


def _missing(uri: str) -> VideoRef:
    """A video that is not there: its row will say so."""
    return VideoRef(uri=uri, version="", video_id=video_id(uri, ""), size_bytes=None)
