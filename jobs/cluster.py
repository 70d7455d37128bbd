"""The Ray cluster a job runs on: the one it was submitted to, or one of its own on this machine."""

import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import ray
import ray._private.utils
from ray._private import ray_constants
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
    """What a cluster has in all.

    Attributes:
        cpus: of its nodes that are alive.
        gpus: likewise.
        may_grow: whether nodes may be added: to any but one of our own on this machine.
    """

    cpus: float
    gpus: float
    may_grow: bool = False


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
        yield Resources(
            cpus=total.get("CPU", 0.0),
            gpus=total.get("GPU", 0.0),
            may_grow="RAY_ADDRESS" in os.environ,
        )
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
    code = Path(__file__).parents[1]
    with _without_chatter(), _readable_command_line(), _callers_sigterm(), chdir(code):
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

    with _instead(psutil.Process, "cmdline", readable):
        yield


@contextmanager
def _callers_sigterm() -> Iterator[None]:
    """Whoever catches SIGTERM himself keeps it.

    Ray sets two handlers of its own when it starts: one raises SystemExit in whatever code runs,
    where it can be swallowed, or leave a lock taken for ever; the other aborts.
    """
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        yield
        return
    with (
        _instead(ray._private.utils, "set_sigterm_handler", lambda handler: None),
        _instead(ray_constants, "RAY_DISABLE_FAILURE_SIGNAL_HANDLER", True),
    ):
        yield


@contextmanager
def _instead(owner: object, name: str, ours: object) -> Iterator[None]:
    """Something of Ray's is ours meanwhile."""
    theirs = getattr(owner, name)
    setattr(owner, name, ours)
    try:
        yield
    finally:
        setattr(owner, name, theirs)


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
