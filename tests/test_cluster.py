"""What Ray gives up on becomes one sentence that names the error."""

import sys

import pytest
import ray
import ray.data
from ray import cloudpickle

from flexivideo.errors import WorkersFailed
from jobs.cluster import cluster

pytestmark = pytest.mark.cluster


class FailsToStart:
    def __init__(self) -> None:
        raise ValueError("no such kernel")

    def __call__(self, batch):
        return batch


class FailsAtWork(FailsToStart):
    def __init__(self) -> None:
        pass

    def __call__(self, batch):
        raise ValueError("no such kernel")


@pytest.mark.parametrize("stage", [FailsToStart, FailsAtWork])
def test_a_stage_that_fails_is_named_by_its_own_error(ray_cluster, stage):
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know no test modules
    pool = ray.data.ActorPoolStrategy(size=1)
    # No CPU of the session's: on a busy machine Ray may leave such a worker behind for long.
    rows = ray.data.range(4).map_batches(stage, compute=pool, num_cpus=0)
    with pytest.raises(WorkersFailed) as caught, cluster():
        rows.materialize()
    assert str(caught.value) == "a worker failed: ValueError: no such kernel"


def test_a_cluster_that_was_joined_before_is_left_as_it_is(ray_cluster):
    with cluster() as resources:
        assert resources == ray_cluster
    assert ray.is_initialized()
