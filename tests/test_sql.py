"""Queries over a dataset, as a person and as a machine reads them."""

import io
import json
import subprocess
import sys

import pytest
from dataset_helpers import commit_videos, make_ref
from rich.console import Console

from flexivideo.errors import SettingsError
from jobs.sql import print_json, print_tables
from pipeline.store import LocalStore, open_store


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    commit_videos(LocalStore(str(root)), [make_ref("a"), make_ref("b")])
    return str(root)


def tables(root: str, query: str, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_tables(open_store(str(root)), query, console=console)
    return console.file.getvalue()


def objects(root: str, query: str) -> list[dict]:
    out = io.StringIO()
    print_json(open_store(str(root)), query, out=out)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("table", ["videos", "scenes", "clips", "embeddings", "thumbnails", "runs"])
def test_every_column_of_every_view_can_be_shown(root, table):
    assert "commit_id" in tables(root, f"FROM {table}", width=60) or table == "runs"
    objects(root, f"FROM {table}")


def test_times_are_utc(root):
    (row,) = objects(root, "SELECT committed_at FROM videos LIMIT 1")
    assert row == {"committed_at": "2026-01-02 03:04:05+00:00"}


def test_values_are_json_that_loses_nothing(root):
    query = """SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, sum(n_clips) AS c, 1.5::DECIMAL(4, 2)
               AS d, '\\xff\\x00'::BLOB AS e, [1, 2] AS f, NULL AS g FROM videos"""
    (row,) = objects(root, query)
    assert row == {
        "a": None, "b": None, "c": 6, "d": 1.5, "e": "/wA=", "f": [1, 2], "g": None
    }  # fmt: skip


def test_columns_of_one_name_stay_apart(root):
    (row,) = objects(root, "SELECT 1 AS a, 2 AS a, 3 AS b, 4 AS a")
    assert row == {"a": 1, "a_1": 2, "b": 3, "a_2": 4}


def test_every_statement_shows_its_result(root):
    assert objects(root, "SELECT 1 AS a; SELECT 2 AS b") == [{"a": 1}, {"b": 2}]


def test_a_wide_row_is_shown_as_lines(root):
    shown = tables(root, "FROM videos WHERE uri LIKE '%/a.mp4'", width=80).splitlines()
    assert "uri: /archive/a.mp4" in shown


@pytest.mark.parametrize(
    "query", ["", "  ", "-- nothing", "select", "FROM nowhere", "select '\udcff'"]
)
def test_what_is_no_query_is_refused_in_a_sentence(root, query):
    with pytest.raises(SettingsError, match="the query"):
        tables(root, query)


def test_a_reader_that_has_enough_ends_it_in_silence(root):
    command = [sys.executable, "-m", "jobs.cli", "sql", root, "--json", "FROM range(300000)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout.readline() == b'{"range": 0}\n'
        run.stdout.close()
        assert run.stderr.read() == b""
