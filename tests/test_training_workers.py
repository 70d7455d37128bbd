"""Training workers that find no place, or are lost: said, and started again only if it can help."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ray.train import TrainingFailedError, WorkerGroupError

from flexivideo.errors import ModelError, SettingsError, TrainingError
from jobs.cluster import Resources
from jobs.finetuning.attempts import started_again
from jobs.finetuning.places import places


@dataclass
class Said:
    lines: list[str] = field(default_factory=list)

    def of(self, workers, *, cpus=2.0, gpus=0.0, may_grow=False, free=None):
        resources = Resources(cpus=cpus, gpus=gpus, may_grow=may_grow)
        free = {"CPU": cpus, "GPU": gpus} if free is None else free
        return places(workers, resources, free=free, say=self.lines.append)


@pytest.mark.parametrize(
    ("asked", "found", "n_workers", "use_gpu"),
    [
        (None, {}, 1, False),
        (2, {}, 2, False),
        (None, {"gpus": 4.0}, 4, True),
        (3, {"gpus": 4.0}, 3, True),
    ],
)
def test_workers_that_fit_are_placed_without_a_word(asked, found, n_workers, use_gpu):
    said = Said()
    assert said.of(asked, **found) == (n_workers, use_gpu)
    assert said.lines == []


@pytest.mark.parametrize(
    ("found", "lacking"),
    [({"gpus": 1.0}, r"GPU each: 3 are wanted, and 1 are there"), ({}, r"CPU .* and 2 are there")],
)
def test_more_workers_than_this_machine_ever_has_places_for_are_refused(found, lacking):
    with pytest.raises(SettingsError, match=lacking):
        Said().of(3, **found)


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({"may_grow": True}, "CPU each: 3 are wanted, and the cluster has 2; training begins as"),
        ({"cpus": 8.0, "free": {"CPU": 1.0}}, "and 1 of 8 are free; training begins as soon as"),
        ({"cpus": 8.0, "free": {}}, "and 0 of 8 are free"),
    ],
)
def test_what_is_waited_for_is_said(found, line):
    said = Said()
    assert said.of(3, **found) == (3, False)
    assert len(said.lines) == 1
    assert line in said.lines[0]


class Workers:
    """Fail so often before they come to their end, of what they are told."""

    def __init__(self, *failures):
        self.failures, self.n_starts, self.lines = list(failures), 0, []

    def start(self):
        self.n_starts += 1
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, TrainingFailedError):
                raise failure
            raise WorkerGroupError("a page", {0: ConnectionError("reset"), 1: failure})

    def until_done(self, max_failures):
        started_again(self.start, max_failures=max_failures, out=Path("run"), say=self.lines.append)


@pytest.mark.parametrize(
    "lasting", [SettingsError("tau"), ModelError("torn"), TrainingError("the loss is nan")]
)
def test_what_another_start_would_meet_again_is_raised_as_it_is(lasting):
    workers = Workers(lasting)
    with pytest.raises(type(lasting)) as raised:
        workers.until_done(3)
    assert raised.value is lasting
    assert (workers.n_starts, workers.lines) == (1, [])


def test_lost_workers_are_started_again_and_it_is_said():
    workers = Workers(OSError("gone"), OSError("gone"))
    workers.until_done(2)
    assert workers.n_starts == 3
    assert [line.split("checkpoint, ")[1] for line in workers.lines] == [
        "1 of at most 2 times",
        "2 of at most 2 times",
    ]
    assert workers.lines[0].startswith("worker 0 failed: ConnectionError: reset; the workers are")


def test_workers_that_are_lost_too_often_end_the_run():
    workers = Workers(OSError("gone"), OSError("gone"), OSError("gone"))
    with pytest.raises(TrainingError, match="ConnectionError: reset; started again, the run in"):
        workers.until_done(1)
    assert workers.n_starts == 2


def test_a_controller_that_failed_is_not_started_again():
    workers = Workers(TrainingFailedError("controller"))
    with pytest.raises(TrainingError, match="training failed: controller; started again"):
        workers.until_done(3)
    assert workers.n_starts == 1
