import threading

import pytest

from pipeline.row_stream import RowStream


class Waiting:
    """Gives three numbers, then waits for its end as Ray Data does for rows."""

    def __init__(self):
        self.ended, self.closed, self.n_given = threading.Event(), False, 0

    def numbers(self):
        try:
            for number in range(3):
                self.n_given += 1
                yield number
            self.ended.wait()
        finally:
            self.closed = True

    def stream(self):
        return RowStream(self.numbers(), end=self.ended.set)


def test_items_come_in_order_and_then_none():
    source = Waiting()
    source.ended.set()
    stream = source.stream()
    assert [stream.next(lambda: None) for _ in range(4)] == [0, 1, 2, None]
    stream.close()


def test_whoever_waits_can_leave_and_the_source_is_ended_and_closed():
    """A signal is heeded while nothing comes, however long that takes."""
    source = Waiting()
    stream = source.stream()
    for _ in range(3):
        stream.next(lambda: None)

    def leave():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream.next(leave)
    stream.close()
    assert source.closed


def test_closed_early_it_drops_what_was_fetched():
    source = Waiting()
    stream = source.stream()
    stream.close()
    assert source.closed
    assert source.n_given <= 2  # one ahead of one that was handed over


def test_what_the_source_raises_is_raised_where_it_is_waited_for():
    def fails():
        yield 1
        raise ValueError("no such kernel")

    stream = RowStream(fails(), end=lambda: None)
    assert stream.next(lambda: None) == 1
    with pytest.raises(ValueError, match="no such kernel"):
        stream.next(lambda: None)
    stream.close()
