"""The parent's side of the decode child, against children that only talk the protocol."""

import os
import sys

import pytest
from decode_helpers import make_plan

from pipeline.outcomes import ErrorKind
from pipeline.records import VideoRef
from pipeline.supervisor import ChildDied, DecodeChild

REF = VideoRef(uri="/archive/a.mp4", version="1-1", video_id="a", size_bytes=1)

PRELUDE = """
import os, sys, time
replies = int(sys.argv[1])
def reply(kind, content=b""):
    os.write(replies, kind + len(content).to_bytes(8) + content)
"""
READY = PRELUDE + "reply(b'B')\nsys.stdin.readline()\n"


def child_that(script, **limits):
    return DecodeChild(make_plan(**limits), command=(sys.executable, "-c", script))


def death_of(child):
    with pytest.raises(ChildDied) as death:
        list(child.rows(REF, "attempt"))
    return death.value


@pytest.mark.parametrize("script", ["import sys; sys.exit(1)", "import nothing_of_this_name"])
def test_a_child_that_cannot_start_is_no_videos_fault(script):
    """A broken installation would quarantine a whole archive."""
    with pytest.raises(RuntimeError, match="no decode child could be started"):
        list(child_that(script).rows(REF, "attempt"))


def test_a_child_that_cannot_load_under_its_limit_is_no_videos_fault():
    child = DecodeChild(make_plan(memory_limit_mib=64))
    with pytest.raises(RuntimeError, match="memory_limit_mib 64"):
        list(child.rows(REF, "attempt"))


def test_the_child_runs_its_parents_code_wherever_the_job_was_started(tmp_path, monkeypatch):
    """A folder called "pipeline" beside somebody's videos is none of ours."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    child = DecodeChild(make_plan())
    (row,) = list(child.rows(REF, "attempt"))
    child.close()
    assert row["outcome"][0].as_py()["error_kind"] == "source_missing"


@pytest.mark.parametrize(
    ("end", "kind", "seen"),
    [
        ("os.kill(os.getpid(), 8)", ErrorKind.CRASHED, "SIGFPE"),
        ("os.kill(os.getpid(), 9)", ErrorKind.OUT_OF_MEMORY, "killed from outside"),
        ("os._exit(77)", ErrorKind.OUT_OF_MEMORY, "memory limit"),
        ("os._exit(0)", ErrorKind.CRASHED, "code 0"),
        ("reply(b'F', b'KeyError: 1')", ErrorKind.CRASHED, "KeyError: 1"),
        ("os.write(replies, b'R' + bytes(3)); os._exit(4)", ErrorKind.CRASHED, "code 4"),
    ],
)
def test_each_end_of_a_child_has_a_name(end, kind, seen):
    death = death_of(child_that(READY + end))
    assert death.error_kind == kind
    assert seen in death.seen


def test_signs_of_life_put_the_deadline_off():
    """Length is no fault: twelve beats together take longer than the deadline."""
    beats = "for _ in range(12): time.sleep(0.1); reply(b'B')\n"
    child = child_that(READY + beats + "reply(b'D')\nsys.stdin.readline()", progress_timeout_s=0.8)
    assert list(child.rows(REF, "attempt")) == []
    child.close()


def test_signs_of_life_do_not_put_the_end_off():
    """A small file can hold the same packet a hundred million times."""
    beats = "while True: time.sleep(0.1); reply(b'B')\n"
    death = death_of(child_that(READY + beats, decode_timeout_s=0.8))
    assert death.error_kind == ErrorKind.TIMED_OUT
    assert "waited for 0.8 s in all" in death.seen


def test_a_child_that_lets_go_of_its_pipe_and_stays_is_ended(monkeypatch):
    """Waiting for it would stop the worker for ever."""
    monkeypatch.setattr("pipeline.supervisor.EXIT_GRACE_S", 0.1)
    death = death_of(child_that(READY + "os.close(replies); time.sleep(3600)"))
    assert death.error_kind == ErrorKind.CRASHED


def test_a_worker_with_many_open_files_is_served():
    """select() takes no descriptor beyond 1,023."""
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        child = child_that(READY + "reply(b'D')\nsys.stdin.readline()")
        assert list(child.rows(REF, "attempt")) == []
        child.close()
    finally:
        for descriptor in held:
            os.close(descriptor)
