import os
import signal
import subprocess
import sys

import pytest

from jobs.interruption import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_kept_until_the_job_asks(number):
    """Raised in the middle of a commit, or of Ray's own code, it would tear it."""
    with Interruption(within_s=60) as interruption:
        interruption.check()
        os.kill(os.getpid(), number)
        assert interruption.received == number  # and nothing was raised
        with pytest.raises(Interrupted, match=number.name):
            interruption.check()


def test_the_first_signal_counts():
    with Interruption(within_s=60) as interruption:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.received == signal.SIGTERM


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption(within_s=60):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_no_except_exception_swallows_it():
    assert not issubclass(Interrupted, Exception)


BUSY = """
import os, signal
from jobs.interruption import Interruption
with Interruption(within_s=0.1):
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        pass
"""


def test_a_job_that_does_not_come_to_its_end_is_cut_off_in_time():
    """A notice is not prolonged because a store does not answer."""
    done = subprocess.run(
        [sys.executable, "-c", BUSY], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "SIGTERM came 0.1 s ago" in done.stderr
