"""A cluster's head as a person starts it by hand, with its dashboard, and what one types at it."""

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[1]
README = PROJECT / "README.md"
BIN = Path(sys.executable).parent

START_S = 60

# Workers of a cluster take ports from 10,002 on, its own services those below.
PORTS = range(6400, 10000)
SERVICES = (
    "port",
    "dashboard-port",
    "ray-client-server-port",
    "node-manager-port",
    "object-manager-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)


@dataclass(frozen=True)
class Head:
    """A head that runs.

    Attributes:
        process: of ``ray start --block``; all that the cluster starts descends from it.
        address: of the dashboard, where jobs are submitted.
        folder: of the session, with its logs.
    """

    process: subprocess.Popen[bytes]
    address: str
    folder: Path

    def ray(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What ``ray WORDS`` ends with, typed in the project's folder."""
        return subprocess.run(
            [BIN / "ray", *words],
            cwd=PROJECT,
            env=os.environ | {"RAY_API_SERVER_ADDRESS": self.address},
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def job_status(self, submission_id: str) -> str:
        """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
        with urllib.request.urlopen(f"{self.address}/api/jobs/{submission_id}", timeout=10) as job:
            return str(json.load(job)["status"])

    def workers(self) -> list[psutil.Process]:
        """Processes that decode or caption."""
        return [
            process
            for process in psutil.Process(self.process.pid).children(recursive=True)
            if re.search("DecodeStage|CaptionStage|decode_child", _command(process))
        ]


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


@contextlib.contextmanager
def ray_head(*, num_cpus: int) -> Iterator[Head]:
    """Start a head, and end it with all that it started."""
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # a socket's path may not be long
        services = dict(zip(SERVICES, _free_ports(len(SERVICES)), strict=True))
        options = [f"--{service}={port}" for service, port in services.items()]
        options += [f"--num-cpus={num_cpus}", f"--temp-dir={folder}", "--disable-usage-stats"]
        process = subprocess.Popen(
            [BIN / "ray", "start", "--head", "--block", *options],
            # As in a shell where the environment is activated: a job says no more than "python".
            env=os.environ
            | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "RAY_JOB_STOP_WAIT_TIME_S": "30"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            address = f"http://127.0.0.1:{services['dashboard-port']}"
            _wait_until_it_takes_jobs(process, address)
            yield Head(process, address, Path(folder) / "session_latest")
        finally:
            started = psutil.Process(process.pid).children(recursive=True)
            process.kill()  # asked to end, it would take half a minute
            for one in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.communicate()


def _wait_until_it_takes_jobs(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{address}/api/jobs/", timeout=5).close()
            return
        assert process.poll() is None, f"the head ended: {process.communicate()[0].decode()}"
        assert time.monotonic() < deadline, "the head takes no jobs"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)


def readme_line(beginning: str, **instead: str) -> list[str]:
    """The README's command line that begins so, as its words, with some of them replaced."""
    (line,) = re.findall(rf"^{re.escape(beginning)}.*$", README.read_text(), flags=re.MULTILINE)
    words = shlex.split(line, comments=True)
    assert set(instead) <= set(words), f"the README has not all of {sorted(instead)}: {line}"
    return [instead.get(word, word) for word in words]


def _free_ports(number: int) -> list[int]:
    found: list[int] = []
    with contextlib.ExitStack() as held:
        first = os.getpid() % 1000
        for port in PORTS[first:]:
            with contextlib.suppress(OSError):
                held.enter_context(socket.socket()).bind(("", port))
                found.append(port)
                if len(found) == number:
                    return found
    raise AssertionError("no free ports")
