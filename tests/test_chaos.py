"""Ten faults on a cluster of three nodes, over a store that fails; `make chaos` has a hundred."""

import pytest
from chaos import FAULTS, Chaos, drawn

pytestmark = pytest.mark.cluster

SEED = 7


def test_a_schedule_follows_from_its_seed_and_has_every_kind():
    schedule = drawn(SEED, 10)
    assert schedule == drawn(SEED, 10) != drawn(SEED + 1, 10)
    assert {kind for _, kind in schedule} == set(FAULTS)
    moments = [moment for moment, _ in schedule]
    assert moments == sorted(set(moments))


def test_ten_faults_lose_nothing_double_nothing_and_show_nothing_torn():
    chaos = Chaos(seed=SEED, schedule=drawn(SEED, 10))
    chaos.run()
    assert sorted(kind for _, kind in chaos.happened) == sorted(k for _, k in chaos.schedule)
