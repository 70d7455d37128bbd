"""Runs ``flexivideo index`` and kills everything, itself and all of Ray, at a counted change.

python killed_index.py N ARGUMENTS...      N: which change of the store is never made
"""

import os
import signal
import sys

from pipeline.store import LocalStore

last, arguments = int(sys.argv[1]), sys.argv[2:]
changes = 0
publish = LocalStore.create_if_absent


def publish_or_die(self: LocalStore, path: str, finished) -> bool:  # type: ignore[no-untyped-def]
    global changes
    changes += 1
    if changes == last:
        os.killpg(os.getpgid(0), signal.SIGKILL)
    return publish(self, path, finished)


LocalStore.create_if_absent = publish_or_die  # type: ignore[method-assign]

if __name__ == "__main__":
    from jobs.cli import main

    main(["index", *arguments])
