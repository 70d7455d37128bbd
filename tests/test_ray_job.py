"""The job on a cluster that was started by hand, as the README types it."""

import json
import shutil
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from index_job import dataset
from ray_head import ray_head, readme_line

from pipeline.views import connect

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not find_spec("opencensus"), reason="a head that takes jobs needs ray[default]"
    ),
]

N_COPIES = 120
SUBMIT = "ray job submit --working-dir . -- python -m jobs.index"

# What is nobody's code: the repository's history, environments, caches.
LEFT_BEHIND = {".git", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


@pytest.fixture(scope="module")
def head():
    with ray_head(num_cpus=2) as head:
        yield head


@pytest.fixture(scope="module")
def many(archive, tmp_path_factory):
    """The archive, and so many copies of its longest video that a run takes a while."""
    folder = tmp_path_factory.mktemp("many")
    for copy in range(N_COPIES):
        shutil.copy(archive / "2.mp4", folder / f"{copy}.mp4")
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def stopped(head, many, root):
    """A job that was stopped after its first commit; its log, and how many videos it had done."""
    words = readme_line(SUBMIT, **{"/mnt/archive": str(many), "/mnt/index": str(root)})
    submit = ["job", "submit", "--no-wait", "--submission-id", "stopped"]
    sent = head.ray(*submit, *words[3:], "--every-rows", "1")
    assert sent.returncode == 0, sent.stderr
    while len(list(root.glob("videos/*"))) < 2:  # the seal, and a first commit
        assert head.job_status("stopped") in ("PENDING", "RUNNING")
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the head ended with {head.process.wait(timeout=0.2)}")
    assert head.workers()
    stop = head.ray("job", "stop", "stopped")
    assert stop.returncode == 0, stop.stderr
    return head.ray("job", "logs", "stopped").stdout


def test_a_stopped_job_ends_clean_with_what_is_finished_committed(head, stopped, many, root):
    assert head.job_status("stopped") == "STOPPED"
    assert "Run interrupted; the same command goes on" in stopped
    ((ended,),) = connect(str(root)).execute("SELECT ended FROM runs").fetchall()
    assert ended == "interrupted"
    assert json.loads((root / "leases" / "index.json").read_text())["released"]
    ((n_done,),) = connect(str(root)).execute("SELECT count(*) FROM videos").fetchall()
    assert 1 <= n_done < N_COPIES
    _, alive = psutil.wait_procs(head.workers(), timeout=10)
    assert not alive


def test_progress_comes_into_the_jobs_log_as_plain_lines(stopped):
    assert f"{N_COPIES + 1} videos listed, 0 already done" in stopped
    assert f"/{N_COPIES + 1} videos, " in stopped
    assert "\x1b[2K" not in stopped  # no line is redrawn


def test_the_readmes_line_does_the_rest(head, stopped, many, root, undisturbed):
    words = readme_line(SUBMIT, **{"/mnt/archive": str(many), "/mnt/index": str(root)})
    # Followed by its status: Ray's own following of a log can break off on a busy machine.
    sent = head.ray("job", "submit", "--no-wait", "--submission-id", "rest", *words[3:])
    assert sent.returncode == 0, sent.stderr
    while head.job_status("rest") in ("PENDING", "RUNNING"):
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the head ended with {head.process.wait(timeout=0.5)}")
    said = head.ray("job", "logs", "rest").stdout
    assert head.job_status("rest") == "SUCCEEDED", said
    assert "Run completed" in said
    tables, _ = dataset(root)
    assert len(tables["videos"]) == N_COPIES + 1
    captions = "SELECT caption FROM clips JOIN videos USING (video_id) WHERE uri LIKE '%/2.mp4'"
    expected = connect(str(undisturbed[0])).execute(f"{captions} ORDER BY clip_index").fetchall()
    found = connect(str(root)).execute(
        "SELECT list(caption ORDER BY clip_index), count(*) FROM clips GROUP BY video_id"
    )
    assert found.fetchall() == [([said for (said,) in expected], 4)] * N_COPIES


def test_the_job_gets_the_code_and_no_more(head, stopped):
    (uploaded,) = (head.folder / "runtime_resources" / "working_dir_files").glob("*/")
    files = [path.relative_to(uploaded) for path in uploaded.rglob("*") if path.is_file()]
    assert Path("jobs/index.py") in files
    assert not [path for path in files if LEFT_BEHIND & set(path.parts)]
    assert sum((uploaded / path).stat().st_size for path in files) < 20 * 2**20
