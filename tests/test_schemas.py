"""The columns that others rely on, and the README's word for them."""

import re
from pathlib import Path

from pipeline.schemas import SCHEMA_VERSION, TABLES, embeddings_schema

README = (Path(__file__).parents[1] / "README.md").read_text()

TABLE = r"^\| (\w+) \| (.+) \|$"


def contract():
    """Tables to the columns that the README names."""
    (rows,) = re.findall(
        r"^\| table \| columns \|\n\|---\|---\|\n((?:\|.+\n)+)", README, re.MULTILINE
    )
    return {table: names.split(", ") for table, names in re.findall(TABLE, rows, re.MULTILINE)}


def test_the_readme_names_all_columns_of_all_tables_and_no_others():
    """A column that is added, removed or renamed changes the contract with every reader."""
    assert contract() == {table: schema.names for table, schema in TABLES.items()}


def test_every_schema_carries_its_version():
    for schema in (*TABLES.values(), embeddings_schema(3)):
        assert schema.metadata[b"schema_version"] == SCHEMA_VERSION.encode()


def test_a_vector_is_a_fixed_number_of_numbers_that_are_never_null():
    kind = embeddings_schema(5, dtype="float16").field("embedding").type
    assert kind.list_size == 5
    assert not kind.value_field.nullable
