"""A full disk under the root ends a run with one sentence, and loses nothing that was committed."""

import shutil
import subprocess

import numpy as np
import pytest
from index_job import dataset, index
from synthetic_media import textured_shots, write_video

# Room for the marks of a run and a small commit, and no room for the thumbnails of the rest.
SMALL, LARGE = "size=320k", "size=64m"


@pytest.fixture
def disk(tmp_path):
    """A file system of a few kilobytes, and how to make it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.cluster
def test_a_disk_that_fills_up_loses_nothing(tmp_path, disk, undisturbed, archive):
    videos = tmp_path / "videos"
    shutil.copytree(archive, videos)
    write_video(videos / "long.mp4", textured_shots(np.random.default_rng(9), 150, 20))
    root = disk / "root"
    full = index(videos, root, "--every-rows", "1")
    assert full.returncode == 1
    (said,) = [line for line in full.stderr.splitlines() if line.startswith("flexivideo:")]
    assert "No space left" in said
    assert "run again" in said
    subprocess.run(["mount", "-o", f"remount,{LARGE}", disk], check=True)
    before = dataset(root)[0]["videos"]
    assert 0 < len(before) < 5
    done = index(videos, root)
    assert done.returncode == 0, done.stderr
    after = dataset(root)[0]
    assert len(after["videos"]) == 5
    assert set(before) <= set(after["videos"])
