import subprocess
import sys

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
