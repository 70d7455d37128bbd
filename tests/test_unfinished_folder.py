"""A conversion that is broken off leaves nothing, and what a kill left is swept up by the next."""

import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest
from tiny_checkpoints import reshard, save_stock

from flexivideo.conversion import convert_checkpoint
from flexivideo.errors import ModelError
from flexivideo.unfinished_folder import LOCK, unfinished_folder
from jobs.convert import convert

KILLED = """
import os, signal, sys
from pathlib import Path
from flexivideo.errors import ModelError
from flexivideo.unfinished_folder import unfinished_folder
with unfinished_folder(Path(sys.argv[1])) as folder:
    (folder / "weights").write_text("many")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = save_stock(tmp_path_factory.mktemp("stock"))
    reshard(folder, 3)
    return str(folder)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_failure_in_the_middle_leaves_nothing(source, tmp_path):
    seen = []

    def full():
        seen.append([path.name for path in tmp_path.glob(".ours-*/*.safetensors")])
        if len(seen) == 3:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        convert_checkpoint(source, tmp_path / "ours", check=full)
    assert [len(written) for written in seen] == [0, 1, 2]
    assert names(tmp_path) == []


def test_a_signal_ends_a_conversion_between_shards(source, tmp_path, capsys):
    """Raised where the conversion looks for it, with time for the folder to go."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # should it come too late
    stop = threading.Event()

    def terminate():
        while not stop.is_set() and not list(tmp_path.glob(f".ours-*/{LOCK}")):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    try:
        assert convert(source, tmp_path / "ours") == 1
    finally:
        stop.set()
        thread.join()
        signal.signal(signal.SIGTERM, before)
    assert "SIGTERM came: nothing was written" in capsys.readouterr().out
    assert names(tmp_path) == []


def test_what_a_kill_left_is_swept_up_and_nothing_else(tmp_path):
    destination = tmp_path / "ours"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(destination)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert names(left) == [LOCK, "weights"]
    (tmp_path / ".ours-notes").mkdir()  # somebody's own
    at_work = tmp_path / ".ours-elsewhere"
    at_work.mkdir()
    with open(at_work / LOCK, "x") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with unfinished_folder(destination) as folder:
            (folder / "weights").write_text("all")
    assert names(tmp_path) == [".ours-elsewhere", ".ours-notes", "ours"]
    assert names(destination) == ["weights"]


def make_twice(destination):
    with unfinished_folder(destination) as first, unfinished_folder(destination) as second:
        for folder in (first, second):
            (folder / "weights").write_text(folder.name)


def test_of_two_makers_of_one_folder_one_makes_it_and_the_other_says_so(tmp_path):
    with pytest.raises(ModelError, match=r"somebody else made .*ours meanwhile"):
        make_twice(tmp_path / "ours")
    assert names(tmp_path) == ["ours"]
    assert names(tmp_path / "ours") == ["weights"]
