import threading

import pytest

from flexivideo.made_ahead import made_ahead

in_both_ways = pytest.mark.parametrize("has_time", [True, False])


@in_both_ways
def test_gives_all_in_order_with_what_was_made_of_them(has_time):
    for n in range(4):
        made = made_ahead(str, range(n), has_time=has_time)
        assert [(item, get()) for item, get in made] == [(i, str(i)) for i in range(n)]


def test_the_next_is_made_while_one_is_in_use_and_no_other():
    begun = [threading.Event() for _ in range(4)]

    def make(item):
        begun[item].set()

    made = made_ahead(make, range(4), has_time=True)
    for item in range(3):
        _, get = next(made)
        get()
        assert begun[item + 1].wait(timeout=10)
        assert not any(event.is_set() for event in begun[item + 2 :])
    assert len(list(made)) == 1


def test_without_time_none_is_made_before_it_is_asked_for():
    begun = []
    made = made_ahead(begun.append, range(3), has_time=False)
    for item in range(3):
        _, get = next(made)
        assert begun == list(range(item))
        get()


@in_both_ways
def test_what_making_one_raised_is_raised_where_it_is_asked_for_and_costs_no_other(has_time):
    made = [get for _, get in made_ahead(lambda item: 1 // item, [1, 0, 2], has_time=has_time)]
    assert [made[0](), made[2]()] == [1, 0]
    with pytest.raises(ZeroDivisionError):
        made[1]()
