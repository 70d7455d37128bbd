import errno
import os

import pytest

from pipeline.shortage import raise_if_short


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_threads_and_memory_that_were_refused_are_the_machines_fault(number):
    with pytest.raises(MemoryError, match="short of threads or memory"):
        raise_if_short(OSError(number, os.strerror(number)))


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "x"), ValueError("x"), OSError("x")])
def test_other_errors_pass(error):
    raise_if_short(error)
