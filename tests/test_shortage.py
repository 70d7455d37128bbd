import errno
import os
import resource
from pathlib import Path

import pytest

from pipeline.shortage import is_short, raise_if_short


def error(number):
    return OSError(number, os.strerror(number))


def test_a_thread_that_could_not_start_is_the_machines_fault():
    with pytest.raises(MemoryError, match="short of threads or memory"):
        raise_if_short(error(errno.EAGAIN))


def test_memory_that_was_refused_is_the_limits_fault_only_where_it_left_no_room(monkeypatch):
    """A broken file asks for more than anything needs; no limit would cure that."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for room, short in ((2**20, True), (2**33, False)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, room=room: (used + room, used + room))
        assert is_short(error(errno.ENOMEM)) is short
        # Some decoders call it broken data.
        assert is_short(error(errno.EINVAL), asked_bytes=2**24) is short


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "x"), ValueError("x"), OSError("x")])
def test_other_errors_pass(error):
    raise_if_short(error)
