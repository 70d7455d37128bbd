"""The manifests of infra/kubernetes, what they run, and the definitions they have to keep to."""

import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from kubernetes_validate import validate as validate_core

Object = dict[str, Any]
Check = Callable[[Object], None]

REPOSITORY = Path(__file__).parents[1]
FOLDER = REPOSITORY / "infra" / "kubernetes"
DEFINITIONS = Path(__file__).parents[2] / "shared" / "kubernetes"

# The Kubernetes whose definitions the other kinds are held against.
KUBERNETES = "1.35"

MANIFESTS = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.iterdir())}


def named(kind: str) -> Object:
    """The one manifest of a kind."""
    (found,) = (manifest for manifest in MANIFESTS.values() if manifest["kind"] == kind)
    return found


CONFIGURATION: dict[str, str] = named("ConfigMap")["data"]
SECRET: dict[str, str] = named("Secret")["stringData"]


def jobs() -> dict[str, Object]:
    """File to the specification of the RayJob in it."""
    return {
        "archive-rayjob.yaml": named("RayJob")["spec"],
        "nightly-raycronjob.yaml": named("RayCronJob")["spec"]["jobTemplate"],
    }


def clusters() -> dict[str, Object]:
    """File to the specification of the cluster in it."""
    specs = {name: job["rayClusterSpec"] for name, job in jobs().items()}
    return {**specs, "standing-raycluster.yaml": named("RayCluster")["spec"]}


def submitter() -> Object:
    """The container that submits the night to the standing cluster."""
    template = named("CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    return container


def pods() -> Iterator[tuple[str, Object]]:
    """Every pod's specification, with a name for a person."""
    for name, cluster in clusters().items():
        yield f"{name} head", cluster["headGroupSpec"]["template"]["spec"]
        for group in cluster["workerGroupSpecs"]:
            yield f"{name} {group['groupName']}", group["template"]["spec"]
    cron_job = named("CronJob")["spec"]["jobTemplate"]["spec"]
    yield "nightly-cronjob.yaml", cron_job["template"]["spec"]


def commands() -> dict[str, list[str]]:
    """File to the words of the job that it runs, with what the configuration says put in."""
    found = {}
    for name, job in jobs().items():
        line = re.sub(r"\$(\w+)", lambda match: CONFIGURATION[match[1]], job["entrypoint"])
        found[name] = shlex.split(line)
    arguments = [
        re.sub(r"\$\((\w+)\)", lambda match: CONFIGURATION[match[1]], argument)
        for argument in submitter()["args"]
    ]
    found["nightly-cronjob.yaml"] = arguments[arguments.index("--") + 1 :]
    return found


def check_of(manifest: Object) -> Check:
    """What refuses an object of this kind that Kubernetes would refuse, by ValidationError."""
    if not manifest["apiVersion"].startswith("ray.io/"):
        return _check_core
    if not DEFINITIONS.is_dir():
        pytest.skip(f"no definitions of KubeRay in {DEFINITIONS}, to hold manifests against")
    return _kuberay_check(manifest["kind"], manifest["apiVersion"].removeprefix("ray.io/"))


def _check_core(manifest: Object) -> None:
    if not {"apiVersion", "kind"} <= manifest.keys():
        raise ValidationError("no apiVersion or no kind")
    validate_core(manifest, KUBERNETES, strict=True)


@cache
def _kuberay_check(kind: str, version: str) -> Check:
    path = DEFINITIONS / f"ray.io_{kind.lower()}s.yaml"
    definition = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    (schema,) = (
        each["schema"]["openAPIV3Schema"]
        for each in definition["spec"]["versions"]
        if each["name"] == version
    )
    # An object's metadata is open in a definition; Kubernetes has its own for all kinds.
    metadata = schema["properties"].pop("metadata")
    assert metadata == {"type": "object"}
    validator = Draft202012Validator(_closed(schema))

    def check(manifest: Object) -> None:
        body = {key: value for key, value in manifest.items() if key != "metadata"}
        validator.validate(body)
        if "metadata" not in manifest:
            raise ValidationError("no metadata")
        validate_core(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": manifest["metadata"]},
            KUBERNETES,
            strict=True,
        )

    return check


def _closed(schema: Any) -> Any:
    """With what Kubernetes adds to such a schema: a field that it does not name is unknown."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and not is_open:
        closed["additionalProperties"] = False
    return closed
