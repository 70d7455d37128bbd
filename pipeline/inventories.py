"""A bucket's inventory as a manifest: what Amazon writes every day of all objects of a bucket.

Its ``manifest.json`` names the files of a listing, CSV (gzipped, without a header, names encoded)
or Parquet, in the bucket that it lies in itself. As of a prefix, known video extensions are taken
and the others counted; old versions and marks of what was deleted are neither.
"""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote_plus

import pyarrow.parquet as pq

from pipeline.local_uri import S3_SCHEME
from pipeline.video_extensions import extension, is_video

__all__ = ["inventory_rows"]

# What is needed, by its names in CSV's schema and in Parquet.
COLUMNS = {
    "Bucket": "bucket",
    "Key": "key",
    "Size": "size",
    "ETag": "e_tag",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}
NEEDED, BATCH_ROWS, BUFFER_BYTES = ("Bucket", "Key"), 4096, 1 << 20


class Opens(Protocol):
    """Opens an object."""

    def __call__(self, uri: str, /) -> BinaryIO:
        """As a file that can be read anywhere."""


def inventory_rows(
    file: BinaryIO, source: str, opens: Opens, left: Counter[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number and fields of each video, as of a manifest's line.

    Args:
        file: the inventory's manifest.json.
        source: its name, ``s3://bucket/key``.
        opens: opens the files that it names.
        left: counts the objects that have another extension, by extension.

    Raises:
        ValueError: if it is no inventory, or of a format that is not read.
    """
    about = json.load(file)
    kind = about.get("fileFormat") if isinstance(about, dict) else None
    if kind not in ("CSV", "Parquet") or not source.startswith(S3_SCHEME):
        raise ValueError(
            f"it says fileFormat {kind!r}; expected an S3 inventory's manifest.json in the bucket "
            f"that it was written to, of CSV or Parquet"
        )
    bucket = source.removeprefix(S3_SCHEME).partition("/")[0]
    number = 0
    for part in about["files"]:
        with opens(f"{S3_SCHEME}{bucket}/{part['key']}") as listing:
            objects = _of_csv(listing, about) if kind == "CSV" else _of_parquet(listing)
            for found in objects:
                number += 1
                key = found["Key"]
                if _is_past(found) or key.endswith("/"):
                    continue
                if is_video(key):
                    uri = f"{S3_SCHEME}{found['Bucket']}/{key}"
                    yield (
                        number,
                        {
                            "uri": uri,
                            "etag": found.get("ETag"),
                            "size_bytes": found.get("Size"),
                        },
                    )
                else:
                    left[extension(key)] += 1


def _of_csv(listing: BinaryIO, about: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    places = _places([name.strip() for name in about["fileSchema"].split(",")])
    with gzip.open(listing) as plain:
        for values in csv.reader(io.TextIOWrapper(plain, "utf-8", newline=""), strict=True):
            found = {name: values[place] for name, place in places.items()}
            yield {**found, "Key": unquote_plus(found["Key"])}


def _of_parquet(listing: BinaryIO) -> Iterator[dict[str, Any]]:
    parquet = pq.ParquetFile(listing, pre_buffer=False, buffer_size=BUFFER_BYTES)
    there = set(parquet.schema_arrow.names)
    names = {ours: name for ours, name in COLUMNS.items() if name in there}
    _places(list(names))
    for batch in parquet.iter_batches(
        batch_size=BATCH_ROWS, columns=list(names.values()), use_threads=False
    ):
        for row in batch.to_pylist():
            yield {ours: row[name] for ours, name in names.items()}


def _places(names: list[str]) -> dict[str, int]:
    if not set(NEEDED) <= set(names):
        raise ValueError(f"it has the columns {', '.join(names)}; expected {', '.join(NEEDED)}")
    return {name: place for place, name in enumerate(names) if name in COLUMNS}


def _is_past(found: Mapping[str, Any]) -> bool:
    return (
        str(found.get("IsLatest", True)).lower() == "false"
        or str(found.get("IsDeleteMarker", False)).lower() == "true"
    )
