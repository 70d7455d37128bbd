"""What the tests share: one Ray cluster a session, the folder of real material, fixed seeds."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

# Before anything imports Ray or transformers: no reports, no hub, no colours in captured output.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("NO_COLOR", "1")
os.environ.setdefault("COLUMNS", "100")

# Of the tests' own S3 server; before a cluster inherits the environment.
os.environ["AWS_ACCESS_KEY_ID"] = "flexivideo-test"
os.environ["AWS_SECRET_ACCESS_KEY"] = "a-secret-that-must-stand-nowhere"

DEFAULT_TEST_DATA = Path(__file__).parents[2] / "shared" / "data"


# The fast tests first; then those that start clusters; the minutes of damaged files last.
SLOW_MARKS = ("cluster", "damaged")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by how long one waits for them."""
    items.sort(
        key=lambda item: max(
            (
                SLOW_MARKS.index(mark.name) + 1
                for mark in item.iter_markers()
                if mark.name in SLOW_MARKS
            ),
            default=0,
        )
    )


@pytest.fixture(scope="session")
def ray_cluster():
    """A real cluster on this machine, used by every test that needs one."""
    from jobs.cluster import cluster

    with cluster() as resources:
        yield resources


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """Three videos of two, three and four clips, one without a byte, and a text."""
    from synthetic_media import textured_shots, write_video

    folder = tmp_path_factory.mktemp("archive")
    for number in range(3):
        frames = textured_shots(np.random.default_rng(number), 2 + number, 40)
        write_video(folder / f"{number}.mp4", frames)
    (folder / "empty.mp4").touch()
    (folder / "notes.txt").write_text("not a video")
    return folder


@pytest.fixture(scope="session")
def undisturbed(archive, tmp_path_factory):
    """The archive's index, and what the run printed."""
    from index_job import index

    root = tmp_path_factory.mktemp("undisturbed")
    done = index(archive, root, "--json", "--plan-first")
    assert done.returncode == 0, done.stderr
    return root, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real footage; the tests that want it skip where it is not laid out."""
    folder = Path(os.environ.get("FLEXIVIDEO_TEST_DATA", DEFAULT_TEST_DATA))
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; set FLEXIVIDEO_TEST_DATA to measure on real files")
    return folder


@pytest.fixture(scope="session")
def made_media(tmp_path_factory) -> Path:
    """Folder of small videos of many kinds: those of ``media_matrix``."""
    from media_matrix import make

    folder = tmp_path_factory.mktemp("made_media")
    make(folder)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20260)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory) -> Iterator[str]:
    """Address of a real S3 server; its keys are in the environment, as a user's would be."""
    from s3_server import seaweed

    with seaweed(tmp_path_factory.mktemp("seaweed")) as endpoint_url:
        yield endpoint_url


@pytest.fixture(scope="module")
def proxy(s3_server):
    """Before that server, breaking the replies that a test names."""
    from s3_server import FaultyProxy

    proxy = FaultyProxy(s3_server)
    yield proxy
    proxy.close()
