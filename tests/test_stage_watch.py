import pytest

from pipeline.execution import StageState
from pipeline.pools import size_pools
from pipeline.room import lacking
from pipeline.settings import PoolSettings
from pipeline.stage_watch import StageWatch

AT_WORK = StageState(queued=3, n_given=0, n_alive=2, n_starting=0, n_tasks=4)
WITHOUT_WORKERS = StageState(queued=3, n_given=0, n_alive=0, n_starting=1, n_tasks=0)


def node(*, cpus=2.0, gpus=0.0, labels=None, **resources):
    return {"Resources": {"CPU": cpus, "GPU": gpus, **resources}, "Labels": labels or {}}


class Watched:
    """A run as the watch sees it, a second at a time."""

    def __init__(self, **settings):
        self.now_s, self.said = 0.0, []
        self.states = {"decode": AT_WORK, "caption": AT_WORK}
        self.nodes = [node()]
        settings = PoolSettings(**settings)
        self.watch = StageWatch(
            size_pools(settings, cpus=2, gpus=0, may_grow=True),
            silent_after_s=settings.silent_after_s,
            say=self.said.append,
            states=lambda: self.states,
            nodes=lambda: self.nodes,
            clock=lambda: self.now_s,
        )

    def wait(self, seconds):
        for _ in range(seconds):
            self.now_s += 1
            self.watch.look()


def test_a_stage_whose_workers_have_no_place_says_for_what_it_waits_and_when_it_goes_on():
    run = Watched(caption_on="pool=models")
    run.states["caption"] = WITHOUT_WORKERS
    run.wait(10)
    (said,) = run.said
    assert said.startswith("caption waits: a worker needs 0.5 CPUs on a node with the label pool=m")
    assert "no node that is alive is one (there are 1)" in said
    run.nodes.append(node(labels={"pool": "models"}))
    run.wait(10)
    assert run.said[1:] == ["caption goes on: there is a place for a worker"]


def test_a_node_that_is_full_has_no_place():
    run = Watched(decode_max=4)  # decoders of one CPU
    run.states = {"decode": AT_WORK, "caption": WITHOUT_WORKERS}
    run.wait(10)
    (said,) = run.said
    assert "alive are 1 with 2 CPUs and 0 GPUs in all, which other workers have" in said


@pytest.mark.parametrize("gpu_node_first", [True, False])
def test_workers_that_may_be_elsewhere_take_no_place(gpu_node_first):
    """Eight decoders fill one node, and the model loads on the other."""
    pools = size_pools(
        PoolSettings(decode_max=8, caption_gpus=1), cpus=9, gpus=1, may_grow=True
    ).by_stage
    nodes = [node(cpus=8), node(cpus=1, gpus=1)]
    if gpu_node_first:
        nodes.reverse()
    beside = [(pools["decode"], 8), (pools["caption"], 0)]
    assert lacking(pools["caption"], nodes, beside=beside) is None
    assert lacking(pools["caption"], [node(cpus=8)], beside=beside) is not None


def test_a_model_that_loads_where_it_has_a_place_waits_for_nothing():
    run = Watched()
    run.states = {"decode": WITHOUT_WORKERS, "caption": WITHOUT_WORKERS}
    run.wait(100)
    assert run.said == []


def test_a_moment_without_a_place_is_not_worth_a_word():
    """A worker that died is started again."""
    run = Watched(caption_on="models")
    run.states["caption"] = WITHOUT_WORKERS
    run.wait(2)
    run.nodes.append(node(models=1.0))
    run.wait(10)
    assert run.said == []


def test_silence_is_told_with_what_each_stage_does_and_again_when_it_has_doubled():
    run = Watched(silent_after_s=60)
    run.wait(59)
    assert run.said == []
    run.wait(500)
    assert [said.split(":")[0] for said in run.said] == [
        f"no row has come for {seconds} s" for seconds in (60, 120, 240, 480)
    ]
    assert (
        "decode has handed on nothing for 59 s (3 blocks wait for it, 4 in work, 2 workers"
        in (run.said[0])
    )


def test_only_the_wait_for_rows_is_silence():
    run = Watched(silent_after_s=60)
    for _ in range(10):
        run.wait(50)
        run.now_s += 1000  # a long commit
        run.watch.waiting_begins()
    assert run.said == []


@pytest.mark.parametrize("stage", ["decode", "caption"])
def test_the_stage_that_hangs_is_told_from_the_one_that_starves(stage):
    run = Watched(silent_after_s=60)
    for number in range(100):
        other = "caption" if stage == "decode" else "decode"
        given = StageState(queued=0, n_given=number, n_alive=1, n_starting=0, n_tasks=0)
        run.states[other] = given
        run.wait(1)
    (said,) = run.said
    assert f"{stage} has handed on nothing for 59 s" in said
    assert f"{other} has handed on nothing for 0 s" in said
