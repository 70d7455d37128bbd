"""The job as its user runs it: a process with arguments, output and an exit code."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

import pyarrow.parquet as parquet
import pytest
from index_job import FLEXIVIDEO, KILLED, dataset, index
from rich.console import Console

from jobs.display import PlainDisplay
from jobs.listed_run import run_index
from pipeline import resume
from pipeline.settings import IndexSettings
from pipeline.views import connect

pytestmark = pytest.mark.cluster


def test_json_says_the_plan_and_the_summary(undisturbed):
    _, (plan, summary) = undisturbed
    assert (plan["n_listed"], plan["n_already_done"], plan["left"]) == (4, 0, {"txt": 1})
    assert summary["by_status"] == {"success": 3, "failed": 1}
    assert summary["by_error_kind"] == {"empty": 1}
    assert summary["n_clips"] == 2 + 3 + 4
    assert summary["ended"] == "completed"


def test_counts_reconcile_with_the_tables(undisturbed):
    root, (_, summary) = undisturbed
    connection = connect(str(root))
    for table, count in (("videos", 4), ("clips", summary["n_clips"])):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(count,)]
    (run,) = connection.execute("SELECT ended, counts FROM runs").fetchall()
    assert run[0] == "completed"
    assert json.loads(run[1])["by_status"] == summary["by_status"]
    resolved = connection.execute(
        """SELECT count(*) FROM settings WHERE settings_id IN
           (SELECT unnest([segmenter_id, packing_id, model_id, prompt_id, limits_id])
            FROM videos)"""
    )
    assert resolved.fetchall() == [(5,)]


def test_a_second_run_does_nothing_and_strict_speaks_of_its_own_videos(archive, undisturbed):
    root, _ = undisturbed
    before = sorted(root.rglob("*"))
    again = index(archive, root, "--strict")
    assert again.returncode == 0
    assert "nothing is left to do" in again.stdout
    assert sorted(root.rglob("*")) == before


def test_a_manifest_names_the_same_videos_as_their_folder(archive, undisturbed, tmp_path):
    manifest = tmp_path / "videos.txt"
    videos = sorted(str(path) for path in archive.glob("*.mp4"))
    manifest.write_text("\n".join(["ftp://host/a.mp4", *videos]))
    done = index(f"--manifest={manifest}", undisturbed[0], "--json")
    assert done.returncode == 0, done.stderr
    plan, summary = map(json.loads, done.stdout.splitlines())
    assert (plan["n_listed"], plan["n_already_done"], plan["n_unusable"]) == (4, 4, 1)
    assert plan["unusable"][0].startswith(f"{manifest}:1: ")
    assert summary["n_unusable"] == 1


def test_windows_one_after_the_other_give_what_one_gives(
    archive, undisturbed, ray_cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(resume, "FIRST_WINDOW", 1)
    monkeypatch.setattr(resume, "WINDOW", 2)
    display = PlainDisplay(Console(file=io.StringIO()))
    report = run_index([str(archive)], out=str(tmp_path), settings=IndexSettings(), display=display)
    assert (report.ended, report.snapshot.n_listed, report.snapshot.n_ended) == ("completed", 4, 4)
    assert dataset(tmp_path)[0] == dataset(undisturbed[0])[0]


# The seal and its proof, five rows of settings, then a commit's parts, its marker last: this is in
# the middle of a commit. Other moments are in test_commit.py and test_chaos.py.
KILLED_AT = 10


def test_after_kill_9_of_everything_the_next_run_gives_the_undisturbed_dataset(
    archive, undisturbed, tmp_path
):
    """Ids, times, scenes and captions equal, embeddings within 1e-5."""
    options = ["--every-rows", "1"]  # a commit a video: more moments to die at
    killed = index(
        archive, tmp_path, *options, command=[*KILLED, str(KILLED_AT)], start_new_session=True
    )
    assert killed.returncode == -signal.SIGKILL
    done = index(archive, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    expected, vectors = dataset(undisturbed[0])
    found, found_vectors = dataset(tmp_path)
    assert found == expected
    assert found_vectors == pytest.approx(vectors, abs=1e-5)
    endings = connect(str(tmp_path)).execute("SELECT ended FROM runs ORDER BY started_at")
    assert endings.fetchall() == [("killed",), ("completed",)]


@pytest.mark.parametrize(
    ("seen", "n_least"),
    # While Ray starts; and after the seal and a first commit.
    [("leases/index.json", 0), ("videos/part-*1.parquet", 1)],
)
def test_sigterm_ends_clean_with_what_is_finished_committed(archive, tmp_path, seen, n_least):
    """By Ray's own handlers it would be lost, hang, or abort."""
    many = tmp_path / "many"
    many.mkdir()
    for copy in range(200):
        shutil.copy(archive / "2.mp4", many / f"{copy}.mp4")
    root = tmp_path / "root"
    command = [*FLEXIVIDEO, "index", str(many), "--out", str(root), "--every-rows", "1"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(root.glob(seen)):
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended with {run.wait(timeout=0.05)} before {seen} was there")
    run.send_signal(signal.SIGTERM)
    stdout, stderr = run.communicate(timeout=120)
    assert run.returncode == 1, stderr
    assert "interrupted" in stdout, stderr
    lease = json.loads((root / "leases" / "index.json").read_text())
    assert lease["released"]
    assert n_least <= parquet.read_table(root / "videos").num_rows < 200
    assert parquet.read_table(root / "runs")["ended"].to_pylist() == ["interrupted"]


def test_neither_a_files_name_nor_the_folder_one_stands_in_can_stop_a_run(tmp_path):
    """Ray notes the arguments in UTF-8, and looks for modules where the job was started."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("raise SystemExit('not this one')")
    named = tmp_path / os.fsdecode(b"n\xff.mp4")
    named.touch()
    done = index(named, tmp_path / "root", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[1])
    assert summary["by_error_kind"] == {"empty": 1}


def test_strict_makes_a_failed_video_count(archive, tmp_path):
    """Without it the archive, which has one, ends with 0: see the fixture ``undisturbed``."""
    assert index(archive / "empty.mp4", tmp_path, "--strict").returncode == 1


def test_a_new_prompt_captions_the_scenes_that_are_stored(archive, undisturbed, tmp_path):
    """Not segmented again: the same scenes, byte for byte, in the same files."""
    root = tmp_path / "root"
    shutil.copytree(undisturbed[0], root)

    def scenes():
        everything = connect(str(root)).execute("SELECT * FROM scenes ORDER BY scene_id").fetchall()
        return everything, {
            path: path.read_bytes() for path in (root / "scenes").rglob("*.parquet")
        }

    before = scenes()
    assert index(archive, root, "--prompt", "What is this?").returncode == 0
    assert scenes() == before
    rows = connect(str(root)).execute(
        """SELECT status, bool_and(scenes_commit_id < commit_id), count(DISTINCT prompt_id)
           FROM videos GROUP BY status ORDER BY status"""
    )
    # What failed has no scenes to keep.
    assert rows.fetchall() == [("failed", False, 1), ("success", True, 1)]
    (n_clips,) = connect(str(root)).execute("SELECT count(*) FROM clips").fetchone()
    assert n_clips == 2 + 3 + 4


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("missing.mp4", [], "missing.mp4"),
        (".", ["--tau", "-1"], "tau is -1.0"),
        (".", ["--dtype", "int4"], "int4"),
        (".", ["--no-such-option"], "no-such-option"),
    ],
)
def test_usage_errors_are_said_in_one_sentence_and_exit_with_2(tmp_path, source, options, said):
    done = index(source, tmp_path / "root", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_none_exits_with_1_and_says_which(archive, tmp_path):
    done = index(archive, tmp_path / "root", "--model", str(archive))
    assert done.returncode == 1
    assert "config.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_rays_jobs_entry_point_is_the_same_command(undisturbed, archive):
    done = subprocess.run(
        [sys.executable, "-m", "jobs.index", str(archive), "--out", str(undisturbed[0])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "nothing is left to do" in done.stdout
