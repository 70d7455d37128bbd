"""The pods of the manifests agree with the images, with Ray and with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import ray
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.credentials import EnvProvider
from kubernetes_manifests import (
    CONFIGURATION,
    REPOSITORY,
    SECRET,
    clusters,
    jobs,
    named,
    pods,
    submitter,
)

from pipeline.settings import CommitSettings
from pipeline.store_settings import ENDPOINT_VARIABLES

README = (REPOSITORY / "README.md").read_text()
CONSTRAINTS = (REPOSITORY / "infra" / "constraints.txt").read_text()
DOCKERFILE = (REPOSITORY / "infra" / "images" / "Dockerfile").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

NOTICE_S = 25  # the shortest that a spot node's pods get
BYTES = {"Gi": 2**30, "Mi": 2**20}

each_cluster = pytest.mark.parametrize("name", clusters())
each_pod = pytest.mark.parametrize(
    "pod", [pod for _, pod in pods()], ids=[name for name, _ in pods()]
)


def test_the_clusters_are_the_same():
    first, *others = clusters().values()
    assert all(other == first for other in others)


@each_cluster
def test_a_cluster_has_the_ray_of_the_images(name):
    (pinned,) = re.findall(r"^ray==(.+)$", CONSTRAINTS, flags=re.MULTILINE)
    assert clusters()[name]["rayVersion"] == pinned


@each_cluster
def test_the_head_decodes_nothing(name):
    assert clusters()[name]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@each_cluster
def test_an_object_store_fits_its_volume_and_the_volume_the_memory(name):
    """What is in /dev/shm counts as the container's memory: beyond its limit the pod is killed."""
    cluster = clusters()[name]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (volume,) = (each for each in pod["volumes"] if each["name"] == "object-store")
        (container,) = pod["containers"]
        assert {"name": "object-store", "mountPath": "/dev/shm"} in container["volumeMounts"]
        shared = n_bytes(volume["emptyDir"]["sizeLimit"])
        assert int(group["rayStartParams"]["object-store-memory"]) < shared
        assert shared <= n_bytes(container["resources"]["limits"]["memory"]) / 2


def n_bytes(quantity: str) -> int:
    return int(quantity[:-2]) * BYTES[quantity[-2:]]


@each_pod
def test_a_pod_is_no_ones_root_and_has_the_memory_that_it_asked_for(pod):
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in DOCKERFILE
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    resources = container["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert pod["restartPolicy"] == "Never"


@each_pod
def test_an_image_is_a_target_of_the_dockerfile_in_this_version(pod):
    (container,) = pod["containers"]
    image, _, tag = container["image"].partition(":")
    version, _, target = tag.partition("-")
    assert (image, version) == (PROJECT["name"], PROJECT["version"])
    assert f"FROM runtime AS {target}\n" in DOCKERFILE
    assert (target == "cuda") == ("nvidia.com/gpu" in container["resources"]["limits"])
    assert f"--target {target} -t {container['image']}" in README
    assert f"--target {target} -t {container['image']}" in DOCKERFILE


@each_pod
def test_an_environment_comes_from_the_configuration_and_the_secret(pod):
    (container,) = pod["containers"]
    taken = [source for each in container["envFrom"] for source in each.items()]
    expected = [("configMapRef", {"name": named("ConfigMap")["metadata"]["name"]})]
    if container["name"] != submitter()["name"]:  # which reads no bucket
        expected.append(("secretRef", {"name": named("Secret")["metadata"]["name"]}))
    assert taken == expected


def test_each_name_of_the_environment_is_read_by_somebody():
    client = [name for _, name, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values()]
    read = {EnvProvider.ACCESS_KEY, EnvProvider.SECRET_KEY, *ENDPOINT_VARIABLES, "HF_HOME"}
    read |= {name for names in client for name in (names if isinstance(names, list) else [names])}
    in_commands = " ".join(job["entrypoint"] for job in jobs().values())
    read |= set(re.findall(r"\$(\w+)", in_commands))
    assert CONFIGURATION.keys() | SECRET.keys() <= read


def test_each_variable_for_ray_is_one_that_ray_reads():
    """A name that nobody reads changes nothing, and nobody says so."""
    names = {each["name"] for _, pod in pods() for each in pod["containers"][0]["env"]}
    package = Path(ray.__file__).parent
    sources = [
        path.read_text()
        for folder in ("_private", "dashboard")
        for path in (package / folder).rglob("*.py")
    ]
    assert len(names) >= 4
    assert not {name for name in names if not any(f'"{name}"' in source for source in sources)}


def test_the_secret_is_empty_until_somebody_fills_it_in():
    assert SECRET == {EnvProvider.ACCESS_KEY: "", EnvProvider.SECRET_KEY: ""}


def test_one_night_at_a_time():
    cron_job = named("CronJob")["spec"]
    assert cron_job["concurrencyPolicy"] == "Forbid"
    nights = (cron_job["jobTemplate"]["spec"], named("RayCronJob")["spec"]["jobTemplate"])
    for night in nights:
        assert night["activeDeadlineSeconds"] < 24 * 3600
        assert night["backoffLimit"] == 0  # a second try would hide the first one's alarm


@each_cluster
def test_who_is_told_to_end_has_the_time_for_it(name):
    """A node drains before its pod is killed, a worker within the notice that a spot node gives."""
    cluster = clusters()[name]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        set_here = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
        drain_s = int(set_here["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        assert drain_s < pod["terminationGracePeriodSeconds"]
        if group is cluster["headGroupSpec"]:
            assert drain_s > CommitSettings().every_s
        else:
            assert pod["terminationGracePeriodSeconds"] <= NOTICE_S
