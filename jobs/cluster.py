"""The Ray cluster a job runs on: the one it was submitted to, or one of its own on this machine."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import ray
from ray.data.exceptions import ExecutionTimeoutError, SystemException
from ray.exceptions import RayError

from flexivideo.errors import WorkersFailed
from jobs.worker_errors import worker_sentence

__all__ = ["Resources", "cluster"]

# Ray reads these when it starts. No usage reports leave a machine unasked, and Ray's own C++ notes
# about restartable actors would tear the display.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a cluster has in all."""

    cpus: float
    gpus: float


@contextmanager
def cluster() -> Iterator[Resources]:
    """Join the cluster that RAY_ADDRESS names (a submitted job has it), or start a local one.

    A cluster that was already joined by this process is used and left as it is.

    Raises:
        WorkersFailed: if Ray gives up on what is done inside.
    """
    joined_here = not ray.is_initialized()
    try:
        if joined_here:
            _join()
        total = ray.cluster_resources()
        yield Resources(cpus=total.get("CPU", 0.0), gpus=total.get("GPU", 0.0))
    except (RayError, SystemException, ExecutionTimeoutError) as error:
        raise WorkersFailed(worker_sentence(error)) from error
    finally:
        if joined_here:
            ray.shutdown()


def _join() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Only a head of one's own can be asked for no dashboard.
    dashboard = None if os.environ.get("RAY_ADDRESS") else False
    # Workers look for modules where the driver stands, before all else; so it stands where this
    # code is, not in whatever folder the job was started.
    with _without_chatter(), _readable_command_line(), chdir(Path(__file__).parents[1]):
        address = os.environ.get("RAY_ADDRESS") or "local"  # else Ray joins whatever runs here
        ray.init(
            address=address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            include_dashboard=dashboard,
        )
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@contextmanager
def _readable_command_line() -> Iterator[None]:
    """Ray notes the command line, and takes nothing but UTF-8: no file's name need be that."""
    as_it_is = psutil.Process.cmdline

    def readable(process: psutil.Process) -> list[str]:
        return [word.encode("utf-8", "backslashreplace").decode() for word in as_it_is(process)]

    psutil.Process.cmdline = readable
    try:
        yield
    finally:
        psutil.Process.cmdline = as_it_is


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep what Ray's C++ side says on starting from the screen, unless starting fails."""
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile("w+b") as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            with os.fdopen(os.dup(screen), "wb") as out:
                shutil.copyfileobj(said, out)
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)
