"""A bucket's inventory as Amazon writes it, in a real store: the videos that a listing gives."""

import csv
import gzip
import io
import json
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import client

from flexivideo.errors import SettingsError
from pipeline.sources import Listing
from pipeline.store_settings import StoreSettings

BUCKET, HOME = "inventoried", "inventories"
NAMES = ("a.mp4", 'b/ä ö+%,".MKV', "b/notes.txt", "c.mp4")
SCHEMA = (
    "Bucket",
    "Key",
    "VersionId",
    "IsLatest",
    "IsDeleteMarker",
    "Size",
    "ETag",
    "StorageClass",
)


@pytest.fixture(scope="module")
def store(s3_server):
    store = client(s3_server)
    for bucket in (BUCKET, HOME):
        store.call_s3("create_bucket", Bucket=bucket)
    for name in NAMES:
        store.pipe_file(f"{BUCKET}/{name}", name.encode())
    return store


@pytest.fixture
def settings(s3_server):
    return StoreSettings(endpoint_url=s3_server)


def rows(store):
    """Every object as it is, one as it was, and one that was deleted."""
    for name in NAMES:
        facts = store.info(f"{BUCKET}/{name}")
        etag = facts["ETag"].strip('"')
        yield (BUCKET, name, "v2", True, False, facts["size"], etag, "STANDARD")
    yield (BUCKET, "a.mp4", "v1", False, False, 5, "0" * 32, "STANDARD")
    yield (BUCKET, "deleted.mp4", "v1", True, True, None, None, None)


def of_csv(objects):
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    for bucket, key, *rest in objects:
        flags = ["" if v is None else str(v).lower() if isinstance(v, bool) else v for v in rest]
        writer.writerow([bucket, quote_plus(key, safe="/"), *flags])
    return gzip.compress(text.getvalue().encode())


def of_parquet(objects):
    names = (
        "bucket",
        "key",
        "version_id",
        "is_latest",
        "is_delete_marker",
        "size",
        "e_tag",
        "class",
    )
    columns = dict(zip(names, map(list, zip(*objects, strict=True)), strict=True))
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()


def write(store, kind, *files):
    """The files, and the manifest.json that names them; its URI."""
    names = [f"data/{kind}-{number}" for number, _ in enumerate(files)]
    for name, content in zip(names, files, strict=True):
        store.pipe_file(f"{HOME}/{name}", content)
    about = {
        "sourceBucket": BUCKET,
        "destinationBucket": f"arn:aws:s3:::{HOME}",
        "version": "2016-11-30",
        "fileFormat": kind,
        "fileSchema": ", ".join(SCHEMA),
        "files": [{"key": name, "size": 1, "MD5checksum": ""} for name in names],
    }
    store.pipe_file(f"{HOME}/{kind}/manifest.json", json.dumps(about).encode())
    return f"s3://{HOME}/{kind}/manifest.json"


@pytest.mark.parametrize(("kind", "written"), [("CSV", of_csv), ("Parquet", of_parquet)])
def test_an_inventory_gives_what_a_listing_of_its_bucket_does(store, settings, kind, written):
    objects = list(rows(store))
    manifest = write(store, kind, written(objects[:2]), written(objects[2:]))
    inventory, listing = (
        Listing([], settings, manifests=[manifest]),
        Listing([f"s3://{BUCKET}"], settings),
    )
    found, expected = (
        [(r.uri, r.version, r.size_bytes) for r in of] for of in (inventory, listing)
    )
    assert sorted(found) == sorted(expected)
    assert len(found) == 3
    assert (inventory.left, inventory.n_unusable) == ({"txt": 1}, 0)


def test_what_is_no_inventory_stops_the_run_and_is_named(store, settings, tmp_path):
    orc = write(store, "ORC", b"ORC")
    broken = write(store, "CSV", b"no gzip")
    (tmp_path / "m.json").write_text("[]")
    for manifest in (orc, broken, str(tmp_path / "m.json")):
        with pytest.raises(SettingsError, match="cannot be read"):
            Listing([], settings, manifests=[manifest])
