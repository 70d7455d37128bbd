"""``flexivideo sql``: a query over a dataset's views, for a person or a machine.

The dataset is only read; what a query itself writes (``COPY ... TO``) goes where it says.
"""

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from typing import Any, TextIO

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flexivideo.errors import SettingsError
from jobs.show import cell
from pipeline.store import Store
from pipeline.views import connect

__all__ = ["print_json", "print_tables"]

# A column that folds to fewer characters than this, its border counted, cannot be read.
NARROWEST = 14


def print_tables(store: Store, query: str, *, console: Console) -> None:
    """Print the result of each statement that has one.

    Raises:
        SettingsError: if DuckDB refuses the query; the message is DuckDB's.
    """
    for names, rows in _results(store, query):
        if len(names) * NARROWEST > console.width:  # a row as lines
            for row in rows:
                for name, value in zip(names, row, strict=True):
                    console.print(f"[bold]{escape(name)}[/bold]: {cell(value)}", highlight=False)
                console.print()
            continue
        table = Table(*(escape(name) for name in names))
        for row in rows:
            table.add_row(*(cell(value) for value in row))
        console.print(table)


def print_json(store: Store, query: str, *, out: TextIO) -> None:
    """Write one JSON object a row: bytes in base64, times in ISO 8601, numbers that are none null.

    Raises:
        SettingsError: if DuckDB refuses the query; the message is DuckDB's.
    """
    for names, rows in _results(store, query):
        for row in rows:
            plain = {name: _plain(value) for name, value in zip(names, row, strict=True)}
            out.write(json.dumps(plain, default=str) + "\n")


def _results(store: Store, query: str) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
    """Column names and rows of each statement's result."""
    connection = connect(store)
    try:
        query.encode("utf-8")
        statements = connection.extract_statements(query)
        if not statements:
            raise SettingsError("the query is empty; expected SQL, such as 'FROM videos'")
        for statement in statements:
            result = connection.sql(statement)
            if result is not None:
                reader = result.to_arrow_reader()
                yield _apart(reader.schema.names), _rows(reader)
    except (duckdb.Error, UnicodeEncodeError) as error:
        raise SettingsError(f"the query failed: {error}") from error


def _rows(reader: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
    for batch in reader:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _apart(names: list[str]) -> list[str]:
    """The names, those that come again numbered, as DuckDB does in its tables."""
    counted: list[str] = []
    for name in names:
        again = sum(name == before for before in names[: len(counted)])
        counted.append(f"{name}_{again}" if again else name)
    return counted


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return value
