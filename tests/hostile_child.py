"""A decode child that misbehaves on videos whose names say how, and is the real one otherwise.

It stands in for what a hostile file does to libav, which no file we could keep would do for long.
"""

import os
import signal
import sys
import time

import numpy as np

from pipeline import decode_child, video_rows

real_rows = video_rows.video_rows


def crash_of_memory():
    hoard = []
    while True:
        hoard.append(np.empty(32 << 20, np.uint8))  # addresses alone: quick on any machine


def spin():
    while True:
        pass


HARMS = {
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "spin": spin,
    "sleep": lambda: time.sleep(3600),
    "memory": crash_of_memory,
    "bug": lambda: [][1],
    "once": lambda: os._exit(3),
}


def rows(ref, attempt, plan, beat, *, n_tries):
    """The real rows; a harm strikes after the first clip."""
    name = os.path.basename(ref.uri).partition(".")[0]
    for number, batch in enumerate(real_rows(ref, attempt, plan, beat, n_tries=n_tries)):
        if number == 1 and name in HARMS and not (name == "once" and n_tries > 1):
            HARMS[name]()
        yield batch


video_rows.video_rows = rows
if __name__ == "__main__":
    sys.exit(decode_child.main())
