import errno
import os

import pytest

from pipeline.shortage import raise_if_short


def test_a_thread_that_could_not_start_is_the_machines_fault():
    with pytest.raises(MemoryError, match="short of threads or memory"):
        raise_if_short(BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)))


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "x"), ValueError("x"), OSError("x")])
def test_other_errors_pass(error):
    raise_if_short(error)
