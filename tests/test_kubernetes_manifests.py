"""The manifests are what Kubernetes and KubeRay take, to the last field."""

import copy
import re
from collections.abc import Iterator

import pytest
from jsonschema import ValidationError
from kubernetes_manifests import MANIFESTS, REPOSITORY, check_of, named

# Whose keys are the author's own.
FREE = {"data", "stringData", "labels", "rayStartParams", "requests", "limits"}

each_manifest = pytest.mark.parametrize("name", MANIFESTS)


@each_manifest
def test_a_manifest_keeps_to_the_definition_of_its_kind(name):
    check_of(MANIFESTS[name])(MANIFESTS[name])


def damaged(node: object) -> Iterator[tuple[str, object]]:
    """Copies of a part of a manifest with one mistake each, and what was done to it."""
    if isinstance(node, list):
        for place, item in enumerate(node):
            for mistake, changed in damaged(item):
                yield mistake, [*node[:place], changed, *node[place + 1 :]]
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        others = {other: each for other, each in node.items() if other != key}
        yield f"{key} misspelt", {**others, f"{key}x": value}
        if not isinstance(value, str):
            yield f"{key} a word", {**node, key: "a word"}
        if key not in FREE:
            for mistake, changed in damaged(value):
                yield f"{key}.{mistake}", {**node, key: changed}


@each_manifest
def test_no_misspelt_field_and_no_value_of_another_type_passes(name):
    """Kubernetes drops a field that it does not know, and the pod runs without it."""
    manifest = MANIFESTS[name]
    check = check_of(manifest)
    passed, n_damaged = [], 0
    for mistake, changed in damaged(manifest):
        n_damaged += 1
        try:
            check(changed)
        except ValidationError:
            continue
        passed.append(mistake)
    assert n_damaged >= 8
    assert not passed


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("RayJob", "spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0),
        ("RayJob", "spec.rayClusterSpec.autoscalerOptions.version", "v3"),
        ("RayJob", "spec.rayClusterSpec.workerGroupSpecs.0.maxReplicas", 1.5),
        ("RayJob", "spec.preRunningDeadlineSeconds", 0),
        ("RayJob", "spec.rayClusterSpec.headGroupSpec.template.spec.containers.0.name", None),
        ("RayCronJob", "spec.schedule", None),
        ("RayCronJob", "spec.concurrencyPolicy", "Forbid"),
        ("RayCluster", "spec.headGroupSpec", None),
        ("RayCluster", "metadata.label", {"app": "flexivideo"}),
        ("CronJob", "spec.schedule", None),
        ("CronJob", "spec.jobTemplate.spec.backoffLimit", "0"),
        ("ConfigMap", "data.AWS_MAX_ATTEMPTS", 3),
    ],
)
def test_a_broken_manifest_is_refused(kind, path, value):
    """Wrong type, no such choice, out of range, left out (None), of another kind."""
    broken = copy.deepcopy(named(kind))
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    node = broken
    for key in parents:
        node = node[key]
    node[last] = value
    if value is None:
        del node[last]
    with pytest.raises(ValidationError):
        check_of(broken)(broken)


def test_the_readme_applies_each_manifest_and_nothing_else():
    readme = (REPOSITORY / "README.md").read_text()
    assert set(re.findall(r"-f infra/kubernetes/(\S+)", readme)) == MANIFESTS.keys()
