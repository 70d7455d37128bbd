import os
import subprocess
import sys

import pytest

NOISE = """
import os, sys
from jobs.standard_output import own_stdout
print("before")
with own_stdout() as own:
    print("from Python")
    os.write(1, b"from C\\n")
    print("ours", file=own)
print("after")
"""


def test_standard_output_holds_only_the_jobs_own_words():
    run = subprocess.run([sys.executable, "-c", NOISE], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n") == ["before", "ours", "after", ""]
    assert sorted(run.stderr.split("\n")) == ["", "from C", "from Python"]


@pytest.mark.parametrize("is_read", [True, False])
def test_only_a_reader_that_has_gone_ends_a_run_in_silence(is_read):
    """What breaks elsewhere, as a cluster's connection, is said."""
    told, tells = os.pipe()
    broken = "import sys; from jobs import cli; cli.app = lambda *a, **k: fail(); cli.main()"
    fail = "def fail(): sys.stdin.read(); raise BrokenPipeError(32, 'Broken pipe')"
    with subprocess.Popen(
        [sys.executable, "-c", f"{fail}\n{broken}"],
        stdin=subprocess.PIPE,
        stdout=tells,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(tells)
        if not is_read:
            os.close(told)
        _, said = process.communicate("")
        if is_read:
            os.close(told)
    assert process.returncode == 1
    if is_read:
        assert said.startswith("flexivideo: a connection of this run broke ([Errno 32] Broken pipe")
    else:
        assert said == ""
