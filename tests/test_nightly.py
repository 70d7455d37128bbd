"""Seven nights over a real object store, as an operator sees them; a second try; an erasure."""

import json

import pytest
from s3_server import client

from jobs.cli import main
from pipeline.run_lease import acquire
from pipeline.store import open_store
from pipeline.store_settings import StoreSettings
from pipeline.views import connect

pytestmark = pytest.mark.cluster

UPLOADS, INDEX = "s3://night-uploads", "s3://night-index/index"


@pytest.fixture
def said(capfd, ray_cluster):
    """Runs a command of ours; gives the exit code, and the last line or all JSON it printed."""

    def run(*arguments, as_json=False):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *(["--json"] if as_json else [])])
        out = capfd.readouterr().out.strip().splitlines()
        return ended.value.code, list(map(json.loads, out)) if as_json else "".join(out[-1:])

    return run


@pytest.fixture
def uploads(s3_server, monkeypatch, archive):
    """Puts what the archive calls so under names of a bucket, and removes them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    store = client(s3_server)
    for bucket in (UPLOADS, INDEX.removesuffix("/index")):
        store.makedirs(bucket.removeprefix("s3://"))

    class Uploads:
        def __init__(self):
            self.there = {}

        def put(self, **names):
            for name, content in names.items():
                data = (archive / f"{content}.mp4").read_bytes()
                store.pipe_file(f"{UPLOADS}/{name}.mp4", data)
                self.there[name] = content

        def remove(self, *names):
            for name in names:
                store.rm_file(f"{UPLOADS}/{name}.mp4")
                del self.there[name]

    return Uploads()


def live(settings):
    """The videos that a search would show, with how they ended and their clips."""
    rows = connect(open_store(INDEX, settings)).execute(
        """SELECT regexp_extract(uri, '([^/]*).mp4', 1), status, count(clip_id)
           FROM videos LEFT JOIN clips USING (video_id)
           WHERE source_deleted_at IS NULL GROUP BY ALL"""
    )
    return {name: (status, n_clips) for name, status, n_clips in rows.fetchall()}


def expected(uploads):
    """Of the archive, 0, 1 and 2 have two, three and four clips."""
    return {
        name: ("failed", 0) if content == "empty" else ("success", int(content) + 2)
        for name, content in uploads.there.items()
    }


def test_seven_nights(said, uploads, s3_server):
    settings = StoreSettings(endpoint_url=s3_server)
    store = open_store(INDEX, settings)
    night = ("nightly", "--source", UPLOADS, "--out", INDEX)

    def scenes():
        return {path: store.read(path) for path in store.list("scenes")}

    uploads.put(a="0", b="1", c="2", broken="empty")
    code, line = said(*night)
    assert (code, "4 videos listed, 0 already done, 1 failed, 3 success" in line) == (0, True)
    assert live(settings) == expected(uploads)

    code, row = said("sql", INDEX, "SELECT count(*) AS n FROM clips", as_json=True)
    assert (code, row) == (0, [{"n": 9}])
    assert said("show", INDEX, "c.mp4", "--endpoint-url", s3_server)[0] == 0

    before = sorted(store.list(""))
    code, line = said(*night)
    assert (code, "4 already done, 0 gone" in line) == (0, True)  # what failed is not tried again
    assert sorted(store.list("")) == before

    uploads.put(d="1", a="2")
    code, line = said(*night)
    assert (code, "3 already done, 2 success, 1 gone" in line) == (0, True)  # the old a
    assert live(settings) == expected(uploads)

    uploads.remove("b")
    uploads.put(moved="2")
    uploads.remove("c")
    code, line = said(*night, "--reuse-renamed")
    assert (code, "1 success, of these 1 renamed, 2 gone, 0 returned" in line) == (0, True)
    assert live(settings) == expected(uploads)

    uploads.put(b="1")
    code, line = said(*night)
    assert (code, "5 already done, 0 gone, 1 returned" in line) == (0, True)
    assert live(settings) == expected(uploads)

    before = scenes()
    code, (_, summary, verdict) = said(*night, "--prompt", "What is it?", as_json=True)
    assert (code, summary["by_status"], verdict["exit_code"]) == (0, {"success": 4, "failed": 1}, 0)
    assert scenes() == before  # byte for byte: nothing was segmented
    assert live(settings) == expected(uploads)

    before = live(settings)
    uploads.remove("a", "b", "d")
    code, line = said(*night, "--prompt", "What is it?", "--min-videos", "2")
    assert (code, "is the source whole?" in line) == (3, True)
    assert live(settings) == before
    code, line = said(*night, "--prompt", "What is it?", "--max-gone", "1")
    assert (code, "3 gone" in line) == (0, True)
    assert live(settings) == expected(uploads)

    later = acquire(store, "index", run_id="another", lease_s=3600)
    uploads.put(e="0")
    code, line = said(*night)
    assert (code, "left to the run that is at work" in line) == (0, True)
    later.release()
    code, line = said(*night, "--since", "2199-01-01", "--prompt", "What is it?")
    assert (code, "0 videos listed" in line) == (0, True)

    code, (plan, summary) = said("retry", INDEX, "--kind", "empty", as_json=True)
    assert (code, plan["n_listed"], summary["by_status"]) == (0, 1, {"failed": 1})
    uploads.put(broken="0")
    code, (_, summary) = said("retry", INDEX, "--kind", "empty", as_json=True)
    assert (code, summary["by_status"]) == (0, {"success": 1})
    code, (plan, summary) = said("retry", INDEX, "--kind", "empty", as_json=True)
    assert (code, plan["n_already_done"], summary["by_status"]) == (0, 1, {})
    assert said("retry", INDEX, "--status", "fine")[0] == 2

    uri = f"{UPLOADS}/moved.mp4"
    assert said("delete", INDEX, uri)[0] == 0
    assert said("delete", INDEX, uri)[0] == 1

    uploads.remove("e", "moved")
    code, line = said(*night, "--since", "2199-01-01")
    assert (code, "1 gone" in line) == (0, True)  # the broken version of what was mended
    uploads.remove("broken")
    code, line = said(*night, "--source", f"{UPLOADS}/never-filled", "--max-gone", "1")
    assert (code, "0 videos listed" in line, "1 gone" in line) == (0, True, True)
    assert live(settings) == {}
