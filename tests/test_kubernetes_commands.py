"""The commands of the manifests parse, fit their cluster, and run as a pod's shell runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import job_arguments, parse
from kubernetes_manifests import (
    CONFIGURATION,
    SECRET,
    clusters,
    commands,
    jobs,
    named,
    submitter,
)
from s3_server import client

import flexivideo
from pipeline.pools import size_pools
from pipeline.settings import PoolSettings
from pipeline.store import open_store
from pipeline.store_settings import StoreSettings
from pipeline.views import connect

MODEL = Path(flexivideo.__file__).parent / "embedded"

each_cluster = pytest.mark.parametrize("name", clusters())
each_command = pytest.mark.parametrize("name", commands())


@each_command
def test_the_command_of_a_manifest_parses(name):
    called_with = parse(job_arguments(commands()[name]))
    sources = called_with.get("source")
    assert tuple(sources) == (CONFIGURATION["FLEXIVIDEO_SOURCE"],)
    assert called_with["out"] == CONFIGURATION["FLEXIVIDEO_ROOT"]
    assert called_with["settings"].caption.model == CONFIGURATION["FLEXIVIDEO_MODEL"]


def test_the_two_nights_run_the_same():
    one, other = (
        parse(job_arguments(commands()[name]))
        for name in ("nightly-raycronjob.yaml", "nightly-cronjob.yaml")
    )
    assert one == other


@each_cluster
def test_the_pools_of_a_command_are_those_of_its_cluster(name):
    """No GPU stands when a run starts: the command says that its model wants one."""
    decode, caption = clusters()[name]["workerGroupSpecs"]
    n_cpus = int(decode["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    limits = caption["template"]["spec"]["containers"][0]["resources"]["limits"]
    n_gpus = int(limits["nvidia.com/gpu"])
    command = "nightly-cronjob.yaml" if name == "standing-raycluster.yaml" else name
    asked = parse(job_arguments(commands()[command]))["settings"].pools
    assert asked == PoolSettings(
        decode_max=decode["maxReplicas"] * n_cpus,
        caption_max=caption["maxReplicas"] * n_gpus,
        caption_gpus=1,
    )
    n_caption_cpus = int(caption["rayStartParams"]["num-cpus"])
    assert caption["minReplicas"] == 0
    pools = size_pools(asked, cpus=decode["minReplicas"] * n_cpus, gpus=0, may_grow=True)
    assert pools.decode.num_cpus == 1
    assert (pools.caption.num_cpus, pools.caption.num_gpus) == (n_caption_cpus, 1)


def test_the_night_is_submitted_to_the_standing_cluster():
    name = named("RayCluster")["metadata"]["name"]
    container = submitter()
    assert f"--address=http://{name}-head-svc:8265" in container["args"]
    assert container["env"][1]["valueFrom"]["secretKeyRef"]["name"] == name
    modes = {each["name"]: each.get("value") for each in container["env"]}
    assert modes["RAY_AUTH_MODE"] == named("RayCluster")["spec"]["authOptions"]["mode"]


@pytest.fixture
def cluster_address():
    """Of a cluster that says it has a GPU; the tests' model does without."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1})
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def pod_environment(s3_server, cluster_address):
    """What a head's container has: the configuration and the secret, filled in for this store."""
    filled_in = {
        "AWS_ENDPOINT_URL": s3_server,
        "FLEXIVIDEO_SOURCE": "s3://pods/uploads/",
        "FLEXIVIDEO_ROOT": "s3://pods/index",
        "FLEXIVIDEO_MODEL": str(MODEL),
        **{name: os.environ[name] for name in SECRET},
    }
    assert filled_in.keys() <= CONFIGURATION.keys() | SECRET.keys()
    # Nothing else of a store comes from where the tests run.
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**own, **CONFIGURATION, **filled_in, "PATH": path, "RAY_ADDRESS": cluster_address}


def run(entrypoint, environment, folder):
    """As Ray's job supervisor does."""
    return subprocess.run(
        entrypoint,
        shell=True,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


@pytest.mark.cluster
def test_an_archive_is_indexed_and_the_night_finds_it_done(
    archive, s3_server, pod_environment, tmp_path
):
    store = client(s3_server)
    store.makedirs("pods")
    for name in ("0.mp4", "empty.mp4"):
        store.pipe_file(f"pods/uploads/{name}", (archive / name).read_bytes())
    entrypoints = {name: job["entrypoint"] for name, job in jobs().items()}
    done = run(entrypoints["archive-rayjob.yaml"], pod_environment, tmp_path)
    assert done.returncode == 0, done.stderr
    root = open_store("s3://pods/index", StoreSettings(endpoint_url=s3_server))
    ended = connect(root).sql("SELECT status, count(*) FROM videos GROUP BY ALL").fetchall()
    assert dict(ended) == {"success": 1, "failed": 1}

    night = run(entrypoints["nightly-raycronjob.yaml"], pod_environment, tmp_path)
    assert night.returncode == 0, night.stderr
    assert "2 already done" in night.stdout
