"""A cluster of several nodes: who works where, and what a stage says whose node is gone."""

import os
import re
import shutil
import subprocess
import threading
from contextlib import suppress

import psutil
import pytest
from index_job import FLEXIVIDEO

from pipeline.views import connect

pytestmark = pytest.mark.cluster

N_COPIES = 8

# By default a node is called dead after a quarter of a minute.
NOTICES_DEATHS_SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 200,
    "health_check_failure_threshold": 5,
}


@pytest.fixture(scope="module")
def nodes():
    """A head that offers nothing, a node for decoders, chosen by a label, none yet for models."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "_system_config": NOTICES_DEATHS_SOON}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1, labels={"pool": "decoders"})
    yield cluster
    cluster.shutdown()


def workers(node, stage):
    """Processes of a node that are workers of a stage."""
    for raylet in node.all_processes["raylet"]:
        for process in psutil.Process(raylet.process.pid).children(recursive=True):
            try:
                if stage in " ".join(process.cmdline()):
                    yield process
            except psutil.NoSuchProcess:
                continue


class Run:
    """A driver, and the lines that it says."""

    def __init__(self, cluster, *arguments):
        self.process = subprocess.Popen(
            [*FLEXIVIDEO, "index", *arguments],
            env=os.environ | {"RAY_ADDRESS": cluster.address},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        # A run that never says what is waited for is ended, and the test with it.
        self._patience = threading.Timer(120, self.process.kill)

    def __enter__(self):
        self._patience.start()
        return self

    def __exit__(self, *_):
        self._patience.cancel()
        self.process.kill()
        self.process.communicate()

    def wait_for_worker(self, node, stage):
        """Until a node has one."""
        while not list(workers(node, stage)):
            with suppress(subprocess.TimeoutExpired):
                pytest.fail(f"it ended with {self.process.wait(timeout=0.05)}: no {stage}")

    def wait_for(self, pattern):
        """The next line that holds it."""
        for line in self.process.stdout:
            self.said += line
            if re.search(pattern, line):
                return line
        pytest.fail(f"{pattern} was never said: {self.said}")


def test_stages_run_where_they_are_told_and_say_that_they_wait_for_a_node(nodes, archive, tmp_path):
    """Before it is there, and when it was lost in the middle."""
    many, root = tmp_path / "many", tmp_path / "root"
    many.mkdir()
    for copy in range(N_COPIES):
        shutil.copy(archive / "2.mp4", many / f"{copy}.mp4")
    arguments = [str(many), "--out", str(root), "--batch-clips", "1", "--every-rows", "1"]
    arguments += ["--decode-on", "pool=decoders", "--caption-on", "models"]
    (decoders,) = nodes.worker_nodes
    with Run(nodes, *arguments) as run:
        run.wait_for_worker(decoders, "DecodeStage")
        waits = run.wait_for("caption waits: ")
        assert (
            "on a node with the resource models; no node that is alive is one (there are 2)"
            in waits
        )
        models = nodes.add_node(num_cpus=1, resources={"models": 1})
        run.wait_for(f"/{N_COPIES} videos, ")
        assert list(workers(models, "CaptionStage"))
        assert not list(workers(models, "DecodeStage"))
        assert not list(workers(decoders, "CaptionStage"))

        nodes.remove_node(models, allow_graceful=False)
        run.wait_for("caption waits: ")
        nodes.add_node(num_cpus=1, resources={"models": 1})
        run.wait_for("caption goes on")
        run.wait_for("Run completed")
        assert run.process.wait() == 0
    done = connect(str(root)).execute("SELECT status, count(*) FROM videos GROUP BY status")
    assert done.fetchall() == [("success", N_COPIES)]
