"""Runs ``flexivideo index`` and kills everything, itself and all of Ray, at a counted change.

python killed_index.py N ARGUMENTS...      N: which change of the store is never made
"""

import os
import signal
import sys

from pipeline.object_root import ObjectRoot
from pipeline.store import LocalStore

last, arguments = int(sys.argv[1]), sys.argv[2:]
changes = 0


def dies_at_last(publish):
    def publish_or_die(self, path, finished) -> bool:
        global changes
        changes += 1
        if changes == last:
            os.killpg(os.getpgid(0), signal.SIGKILL)
        return publish(self, path, finished)

    return publish_or_die


for store in (LocalStore, ObjectRoot):
    store.create_if_absent = dies_at_last(store.create_if_absent)

if __name__ == "__main__":
    from jobs.cli import main

    main(["index", *arguments])
