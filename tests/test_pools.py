import pytest

from flexivideo.errors import SettingsError
from pipeline.pools import size_pools
from pipeline.settings import PoolSettings


@pytest.mark.parametrize(
    ("cpus", "gpus"), [(1, 0), (2, 0), (3, 0), (8, 0), (64, 0), (4, 1), (96, 8)]
)
def test_both_pools_fit_the_cluster_at_their_smallest_and_largest(cpus, gpus):
    """A pool that asks for more than there is waits for ever."""
    pools = size_pools(PoolSettings(), cpus=cpus, gpus=gpus)
    for size in ("smallest", "largest"):
        asked = sum(getattr(pool, size) * pool.num_cpus for pool in (pools.decode, pools.caption))
        assert asked <= cpus
    assert pools.decode.smallest >= 1
    assert pools.caption.smallest >= 1
    assert pools.caption.largest * pools.caption.num_gpus <= gpus


def test_what_the_model_leaves_is_shared_out_whole():
    """Half a CPU that no decoder may have is a quarter of a machine of two."""
    decode = size_pools(PoolSettings(), cpus=2, gpus=0).decode
    assert (decode.largest, decode.num_cpus) == (2, 0.75)


def test_every_gpu_gets_a_model():
    assert size_pools(PoolSettings(), cpus=96, gpus=8).caption.largest == 8


def test_asked_sizes_are_taken_as_they_are():
    asked = PoolSettings(decode_min=2, decode_max=5, caption_min=2, caption_max=3)
    pools = size_pools(asked, cpus=16, gpus=0)
    assert (pools.decode.smallest, pools.decode.largest) == (2, 5)
    assert (pools.caption.smallest, pools.caption.largest) == (2, 3)


def test_a_cluster_too_small_for_what_was_asked_is_said_before_the_run():
    with pytest.raises(SettingsError, match="decode_min"):
        size_pools(PoolSettings(decode_min=8), cpus=2, gpus=0)


def test_the_smallest_size_may_not_exceed_the_largest():
    with pytest.raises(SettingsError, match="decode_min is 3"):
        PoolSettings(decode_min=3, decode_max=2)


def test_a_cluster_that_may_grow_refuses_nothing_and_sizes_for_what_is_named():
    """An autoscaler begins with a head that offers nothing."""
    asked = PoolSettings(decode_max=32, caption_max=4, caption_gpus=1)
    pools = size_pools(asked, cpus=0, gpus=0, may_grow=True)
    assert (pools.decode.largest, pools.decode.num_cpus) == (32, 1.0)
    assert (pools.caption.largest, pools.caption.num_gpus) == (4, 1.0)


def test_small_models_share_a_gpu_and_may_leave_it_alone():
    halves = size_pools(PoolSettings(caption_gpus=0.5), cpus=8, gpus=2).caption
    assert (halves.largest, halves.num_gpus) == (4, 0.5)
    assert size_pools(PoolSettings(caption_gpus=0), cpus=8, gpus=2).caption.num_gpus == 0


def test_nodes_are_chosen_by_a_label_or_a_resource():
    pools = size_pools(PoolSettings(decode_on="spot", caption_on="ray.io/zone=b"), cpus=8, gpus=0)
    assert (set(pools.decode.nodes.resources), pools.decode.nodes.label_selector) == ({"spot"}, {})
    assert pools.caption.nodes.label_selector == {"ray.io/zone": "b"}


@pytest.mark.parametrize("text", ["", "a=", "=b", "a=b=c", "a=in(b,c)", "a b"])
def test_a_choice_of_nodes_that_is_neither_is_said(text):
    with pytest.raises(SettingsError, match="caption_on is"):
        PoolSettings(caption_on=text)
