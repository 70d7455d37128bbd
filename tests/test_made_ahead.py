import threading

import pytest

from flexivideo.made_ahead import made_ahead


def test_gives_all_in_order_with_what_was_made_of_them():
    for n in range(4):
        made = made_ahead(str, range(n))
        assert [(item, future.result()) for item, future in made] == [(i, str(i)) for i in range(n)]


def test_the_next_is_made_while_one_is_in_use_and_no_other():
    begun = [threading.Event() for _ in range(4)]

    def make(item):
        begun[item].set()

    made = made_ahead(make, range(4))
    for item in range(3):
        _, future = next(made)
        future.result()
        assert begun[item + 1].wait(timeout=10)
        assert not any(event.is_set() for event in begun[item + 2 :])
    assert len(list(made)) == 1


def test_what_making_one_raised_is_raised_where_it_is_asked_for_and_costs_no_other():
    made = list(made_ahead(lambda item: 1 // item, [1, 0, 2]))
    assert [future.result() for _, future in (made[0], made[2])] == [1, 0]
    with pytest.raises(ZeroDivisionError):
        made[1][1].result()
