"""The job over a real object store, as videos' home and as the dataset's."""

import json
import os
import tempfile
from pathlib import Path

import pytest
from index_job import dataset, index
from s3_server import FaultyProxy, client, presigned

from jobs.cli import main
from pipeline.store import open_store
from pipeline.store_settings import StoreSettings
from pipeline.views import connect

pytestmark = pytest.mark.cluster


def test_an_archive_in_a_store_that_fails_now_and_then_gives_what_a_disk_gives(
    archive, undisturbed, s3_server, tmp_path
):
    store = client(s3_server)
    store.call_s3("create_bucket", Bucket="uploads")
    for path in sorted(archive.iterdir()):
        store.pipe_file(f"uploads/night/{path.name}", path.read_bytes())
    proxy = FaultyProxy(s3_server)
    # Fewer than the tries of a range: whoever of the workers meets them, none meets too many.
    faults = ("cut", "slow down", "short", "other version")
    proxy.begin(lambda n: faults[n] if n < len(faults) else None)
    root, source = tmp_path / "root", "s3://uploads/night"
    done = index(source, root, "--json", "--endpoint-url", proxy.address)
    proxy.close()
    assert done.returncode == 0, done.stderr
    assert proxy.n_counted == 3 + len(faults)
    assert json.loads(done.stdout.splitlines()[1])["by_status"] == {"success": 3, "failed": 1}

    def seen(root):
        """Digests of the content, boundaries and captions, by what the file is called."""
        return (
            connect(str(root))
            .execute(
                "SELECT split_part(uri, '/', -1) AS name, content_digest, status, error_kind, "
                "list(c.start_pts ORDER BY c.start_pts), list(c.caption ORDER BY c.start_pts) "
                "FROM videos AS v LEFT JOIN clips AS c USING (video_id) GROUP BY ALL ORDER BY name"
            )
            .fetchall()
        )

    assert seen(root) == seen(undisturbed[0])
    secret = os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    written = [path for path in root.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if secret in path.read_bytes()]
    assert secret.decode() not in done.stdout + done.stderr


def faulty(n):
    """One request in five, whatever it asks for."""
    kinds = ("slow down", "reset", "cut", "lost reply", "short")
    return kinds[n // 5 % len(kinds)] if n % 5 == 3 else None


def test_a_dataset_in_a_store_that_fails_now_and_then_is_what_a_disk_holds(
    archive, undisturbed, s3_server
):
    client(s3_server).makedirs("faulty")
    proxy, root = FaultyProxy(s3_server), "s3://faulty/a set/index"
    proxy.begin(faulty, of=lambda request: True)
    asked = ("--out-endpoint-url", proxy.address, "--every-rows", "1", "--json")
    done = index(archive, root, *asked)
    assert done.returncode == 0, done.stderr
    assert proxy.n_broken >= 5
    store = open_store(root, StoreSettings(endpoint_url=s3_server))
    (expected, vectors), (found, found_vectors) = dataset(undisturbed[0]), dataset(store)
    assert found == expected
    assert found_vectors == pytest.approx(vectors, abs=1e-5)
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    content = [store.read(path) for path in store.list("")]
    assert len(content) > 10
    assert not [part for part in content if secret.encode() in part]
    assert secret not in done.stdout + done.stderr
    again = index(archive, root, *asked)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout.splitlines()[0])["n_already_done"] == 4
    proxy.close()


def test_presigned_addresses_are_done_once_and_nothing_that_signs_them_is_kept(
    archive, s3_server, tmp_path, capfd
):
    """Not in the dataset, not in what is printed, and not in what Ray leaves on the disk."""
    store, bucket, root = client(s3_server), "signed", tmp_path / "root"
    store.call_s3("create_bucket", Bucket=bucket)
    for name in ("0.mp4", "empty.mp4"):
        store.pipe_file(f"{bucket}/{name}", (archive / name).read_bytes())

    def options(manifest, expires_s):
        """One of them named, the others in a manifest."""
        urls = [presigned(s3_server, bucket, name, expires_s=expires_s) for name in manifest]
        (tmp_path / "m.txt").write_text("\n".join(urls))
        first = presigned(s3_server, bucket, "0.mp4", expires_s=expires_s)
        return first, "--manifest", str(tmp_path / "m.txt"), "--plain-http", "--json"

    with tempfile.TemporaryDirectory(prefix="ray") as ray_files:  # Ray's sockets want short names
        tmp_ray = os.environ | {"RAY_TMPDIR": ray_files}
        first, *others = options(["empty.mp4", "gone.mp4"], 600)
        done = index(first, root, *others, env=tmp_ray)
        assert done.returncode == 0, done.stderr
        left = [path for path in Path(ray_files).rglob("*") if path.is_file()]
        assert left
        left += [path for path in root.rglob("*") if path.is_file()]
        kept = [path.read_bytes() for path in left] + [(done.stdout + done.stderr).encode()]
    assert not [content for content in kept if b"X-Amz" in content]
    summary = json.loads(done.stdout.splitlines()[1])
    assert summary["by_status"] == {"success": 1, "failed": 1, "unavailable": 1}
    uris = connect(str(root)).execute("SELECT uri FROM videos ORDER BY uri").fetchall()
    assert uris == [(f"{s3_server}/{bucket}/{name}.mp4",) for name in ("0", "empty", "gone")]
    with pytest.raises(SystemExit) as ended:  # nothing is left, so no cluster is started
        main(["index", *options(["empty.mp4"], 60), "--out", str(root)])
    plan = json.loads(capfd.readouterr().out.splitlines()[0])
    assert (ended.value.code, plan["n_listed"], plan["n_already_done"]) == (0, 2, 2)
