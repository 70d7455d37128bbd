"""Whatever a video does to its decoder ends as a row, and the next video is decoded."""

import os
import pickle
import shutil
import sys
import time
from pathlib import Path

import psutil
import pytest
from decode_helpers import make_plan, ref_table, run_stage
from synthetic_media import textured_shots, write_video

from pipeline.decode_stage import DecodeStage
from pipeline.local_uri import to_uri
from pipeline.sources import local_ref
from pipeline.supervisor import DecodeChild

HOSTILE = (sys.executable, str(Path(__file__).with_name("hostile_child.py")))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    import numpy as np

    frames = textured_shots(np.random.default_rng(5), 3, 40)
    return write_video(tmp_path_factory.mktemp("videos") / "good.mp4", frames)


@pytest.fixture
def hostile_stage(request):
    plan = make_plan(progress_timeout_s=3, memory_limit_mib=1500)
    stage = DecodeStage(plan, DecodeChild(plan, command=HOSTILE))
    yield stage
    stage.close()


@pytest.mark.parametrize(
    ("harm", "kind", "seen"),
    [
        ("segfault", "crashed", "SIGSEGV"),
        ("abort", "crashed", "SIGABRT"),
        ("exit", "crashed", "code 3"),
        ("spin", "timed_out", "for 3 s"),
        ("sleep", "timed_out", "for 3 s"),
        ("memory", "out_of_memory", "1500 MiB"),
    ],
)
def test_a_video_that_takes_its_decoder_down_is_quarantined_and_the_next_is_decoded(
    hostile_stage, video, tmp_path, harm, kind, seen
):
    poison, good = tmp_path / f"{harm}.mp4", tmp_path / "good.mp4"
    shutil.copy(video, poison)
    shutil.copy(video, good)
    videos = run_stage(hostile_stage, good, poison, good)
    outcome, rows = videos[poison.name]
    assert (outcome["status"], outcome["error_kind"]) == ("quarantined", kind)
    assert seen in outcome["error_message"]
    assert "s after it began" in outcome["error_message"]
    assert f"{poison.stat().st_size:,} bytes" in outcome["error_message"]
    assert outcome["n_tries"] == 2
    assert outcome["n_rows"] == len(rows) == 0
    assert videos["good.mp4"][0]["status"] == "success"


def test_what_nobody_foresaw_costs_one_video_and_not_the_run(hostile_stage, video, tmp_path):
    """Else one odd file would stop every run over its archive, for ever."""
    poison, good = tmp_path / "bug.mp4", tmp_path / "good.mp4"
    shutil.copy(video, poison)
    shutil.copy(video, good)
    videos = run_stage(hostile_stage, poison, good)
    outcome, rows = videos[poison.name]
    assert (outcome["status"], outcome["error_kind"]) == ("quarantined", "crashed")
    assert "IndexError" in outcome["error_message"]
    assert rows == []
    assert videos[good.name][0]["status"] == "success"


def test_each_try_has_rows_of_its_own(hostile_stage, video, tmp_path):
    shutil.copy(video, tmp_path / "exit.mp4")
    refs = ref_table([local_ref(to_uri(str(tmp_path / "exit.mp4")))])
    attempts = [row["attempt"] for table in hostile_stage(refs) for row in table.to_pylist()]
    assert len(set(attempts)) == len(attempts) == 3  # a clip a try, then the outcome


def test_a_second_try_that_succeeds_says_that_it_was_the_second(hostile_stage, video, tmp_path):
    shutil.copy(video, tmp_path / "once.mp4")
    outcome, rows = run_stage(hostile_stage, tmp_path / "once.mp4")["once.mp4"]
    assert (outcome["status"], outcome["n_tries"]) == ("success", 2)
    assert outcome["n_rows"] == len(rows) == 3


def test_time_that_the_reader_takes_is_not_the_decoders(video):
    """Back-pressure of a slow model must not look like a hang."""
    plan = make_plan(progress_timeout_s=1.5)
    stage = DecodeStage(plan)
    tables = stage(ref_table([local_ref(to_uri(str(video)))]))
    next(tables)
    os.kill(stage._child._process.pid, 19)  # SIGSTOP: it does nothing while nobody waits
    deadline = time.monotonic() + 1.8
    while time.monotonic() < deadline:
        pass
    os.kill(stage._child._process.pid, 18)  # SIGCONT
    *_, last = tables
    assert last.to_pylist()[0]["outcome"]["status"] == "success"
    stage.close()


def test_leaving_early_ends_the_child(video):
    stage = DecodeStage(make_plan())
    tables = stage(ref_table([local_ref(to_uri(str(video)))]))
    next(tables)
    child = psutil.Process(stage._child._process.pid)
    tables.close()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_child_dies_with_its_parent(video, tmp_path):
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from decode_helpers import *\n"
        "stage = DecodeStage(make_plan())\n"
        "tables = stage(ref_table([local_ref(sys.argv[2])]))\n"
        "next(tables); print(stage._child._process.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    import subprocess

    parent = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(video)],
        capture_output=True,
        text=True,
        check=False,
    )
    pid = int(parent.stdout)
    try:
        psutil.Process(pid).wait(timeout=10)
    except psutil.NoSuchProcess:
        return


def test_a_stage_travels_to_its_worker(video):
    stage = pickle.loads(pickle.dumps(DecodeStage(make_plan())))
    assert run_stage(stage, video)["good.mp4"][0]["status"] == "success"
    stage.close()
