"""jobs -> pipeline -> flexivideo, one way; Ray in one file of the pipeline; a light child."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_import_contracts_of_the_project_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_decode_child_loads_neither_torch_nor_ray():
    """A child starts in a fraction of a second and lives under a memory limit."""
    code = (
        "import sys, pipeline.decode_child, pipeline.video_rows;"
        "sys.exit(', '.join({'torch', 'transformers', 'ray'} & set(sys.modules)) or None)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
