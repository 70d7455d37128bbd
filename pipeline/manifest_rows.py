"""Manifests as files: the fields of each line of a text, CSV or Parquet file, as they are read.

    .txt, .list   one uri a line; blank lines and lines that begin with # are left out
    .csv          with a header: uri, and where they are known etag and size_bytes; start_s and
                  end_s, of a range; prompt
    .parquet      the same columns
    .json         an inventory of a bucket (pipeline/inventories.py)

Other columns are not looked at. Only the file as a whole is judged here. It is read bit by bit, so
that it may be of any length.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from flexivideo.errors import SettingsError, StoreError
from pipeline.inventories import inventory_rows
from pipeline.local_uri import S3_SCHEME
from pipeline.remote_names import is_remote
from pipeline.signed_urls import shown
from pipeline.store_settings import StoreSettings

__all__ = ["Row", "manifest_rows"]

INVENTORY = ".json"
URI, OPTIONAL = "uri", ("etag", "size_bytes", "start_s", "end_s", "prompt")

# What Parquet is read in, so that one row group of a million lines takes no memory either.
BATCH_ROWS, BUFFER_BYTES = 4096, 1 << 20

# What Arrow raises over a cell: out of range, of no UTF-8 deep inside, in a time zone of no name.
_NO_VALUE = (OverflowError, ValueError, KeyError, pa.ArrowException)

# Number of a line (of Parquet, of a row) from 1, and its fields, or why it has none.
Row = tuple[int, Mapping[str, Any] | str]


def manifest_rows(source: str, store: StoreSettings, left: Counter[str]) -> Iterator[Row]:
    """The rows of a manifest, in its order.

    Args:
        source: path or ``s3://bucket/key`` of the file.
        store: how object stores are reached.
        left: counts what an inventory holds that is no video, by extension.

    Raises:
        SettingsError: if the file is of another kind, is not there, cannot be read or has other
            columns than are known.
    """
    if is_remote(source) and not source.startswith(S3_SCHEME):
        raise SettingsError(
            f"manifest {shown(source)} is in no place that manifests are read from; expected a "
            f"file of this machine or an s3:// object: fetch it first"
        )
    kind = os.path.splitext(source)[1].lower()
    if kind not in (*_KINDS, INVENTORY):
        raise SettingsError(
            f"manifest {source!r} is of no known kind; expected one of "
            f"{', '.join((*_KINDS, INVENTORY))}"
        )
    try:
        with _opened(source, store) as file:
            if kind == INVENTORY:
                yield from inventory_rows(file, source, lambda uri: _opened(uri, store), left)
            else:
                yield from _KINDS[kind](file, source)
    except FileNotFoundError as error:
        raise SettingsError(
            f"manifest {source!r} is not there; expected a file of this machine or an s3:// object"
        ) from error
    except StoreError as error:
        raise SettingsError(
            f"manifest {source!r} cannot be read: {error.detail}; look at the store and the "
            f"credentials, then run again"
        ) from error
    except (OSError, EOFError, csv.Error, *_NO_VALUE) as error:
        raise SettingsError(
            f"manifest {source!r} cannot be read: {error}; expected a whole file of the kind that "
            f"its name says: make it anew"
        ) from error


def _opened(source: str, store: StoreSettings) -> BinaryIO:
    if source.startswith(S3_SCHEME):
        from pipeline.object_files import ObjectFiles  # with s3fs, which files do not need

        file: BinaryIO = ObjectFiles(store).open(source)
        return file
    if os.path.exists(source) and not os.path.isfile(source):
        raise OSError("it is a folder, a pipe or a device")
    return open(source, "rb")


def _text_rows(file: BinaryIO, source: str) -> Iterator[Row]:
    # Spaces belong to names. What is no UTF-8 is kept, for whoever says which line it is.
    lines = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="\n")
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield number, {URI: line.removesuffix("\n").removesuffix("\r")}


def _csv_rows(file: BinaryIO, source: str) -> Iterator[Row]:
    text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    reader = csv.reader(text, strict=True)
    header = [name.strip() for name in next(reader, [])]
    wanted = _columns(header, source)
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader goes on behind it
            yield number, f"no CSV up to line {reader.line_num}: {error}"
            continue
        if values and len(values) != len(header):  # a comma in a name, or a torn end: no guesses
            yield number, f"{len(values)} fields; expected {len(header)}, as in the header"
        elif values:
            yield number, {name: values[place] for name, place in wanted.items()}


def _parquet_rows(file: BinaryIO, source: str) -> Iterator[Row]:
    # Else the whole file is fetched before the first row.
    parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES)
    wanted, number = list(_columns(parquet.schema_arrow.names, source)), 0
    # Threads would read a file of Python's from several sides at once.
    batches = parquet.iter_batches(batch_size=BATCH_ROWS, columns=wanted, use_threads=False)
    for batch in batches:
        for row in zip(*(_values(batch.column(name)) for name in wanted), strict=True):
            number += 1
            fields = dict(zip(wanted, row, strict=True))
            bad = (f"{name} {cell}" for name, cell in fields.items() if isinstance(cell, _NoValue))
            yield number, next(bad, fields)


@dataclass(frozen=True)
class _NoValue:
    """Stands where Python has no such value, as of a date in the year 29349."""

    kind: pa.DataType
    error: Exception

    def __str__(self) -> str:
        kind, error = shown(str(self.kind)), shown(str(self.error))
        return f"is of type {kind} and cannot be read: {error}; expected text or a number"


def _values(column: pa.Array) -> list[Any]:
    """As Python has them; one cell that it cannot have does not cost the others."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = column.cast(pa.large_binary()).to_pylist()
        return [None if text is None else text.decode("utf-8", "surrogateescape") for text in texts]
    try:
        return list(column.to_pylist())
    except _NO_VALUE:
        return [_value(cell) for cell in column]


def _value(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except _NO_VALUE as error:
        return _NoValue(cell.type, error)


def _columns(names: Sequence[str], source: str) -> dict[str, int]:
    """The columns that are read, and where they stand."""
    wanted = {name: place for place, name in enumerate(names) if name in (URI, *OPTIONAL)}
    if URI not in wanted or any(names.count(name) > 1 for name in wanted):
        raise SettingsError(
            f"manifest {source!r} has the columns {', '.join(names) or '(none)'}; expected one uri "
            f"and at most one each of {', '.join(OPTIONAL)}, named in the first line of CSV"
        )
    return wanted


_KINDS: dict[str, Callable[[BinaryIO, str], Iterator[Row]]] = {
    ".txt": _text_rows,
    ".list": _text_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
