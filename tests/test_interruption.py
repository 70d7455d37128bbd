import os
import signal
import sys

import pytest

from jobs.interruption import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_work_is_kept_until_the_job_waits(number):
    """Raised in the middle of a commit, it would tear it."""
    with Interruption() as interruption:
        os.kill(os.getpid(), number)
        assert interruption.received == number  # and nothing was raised
        with pytest.raises(Interrupted, match=number.name), interruption.waiting():
            pytest.fail("waiting began although a signal had come")


def spin_until_a_signal_comes(interruption):
    with interruption.waiting():
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(10_000_000):
            pass


def test_a_signal_while_the_job_waits_is_raised_at_once():
    with Interruption() as interruption, pytest.raises(Interrupted):
        spin_until_a_signal_comes(interruption)


def test_handlers_are_put_back_and_may_be_set_again():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption() as interruption:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what a library might do
        interruption.catch()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def start_a_library_that_ends_the_process(interruption):
    with interruption.starting():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(10_000_000):
            pass


def test_a_librarys_own_end_of_the_process_is_an_interruption():
    with Interruption() as interruption:
        with pytest.raises(Interrupted, match="SIGTERM"):
            start_a_library_that_ends_the_process(interruption)
        os.kill(os.getpid(), signal.SIGINT)  # ours again
        assert interruption.received == signal.SIGINT


def test_no_except_exception_swallows_it():
    assert not issubclass(Interrupted, Exception)
