"""Workers started on the cluster, and started again where one was lost: the one file here on Ray.

Ray Train starts them and joins them into one process group. Whether they are started again is for
us to say: Ray would, whatever they died of, and what a person has to change fails again.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer

from flexivideo.errors import DatasetError, ModelError, SettingsError, TrainingError
from jobs.cluster import Resources
from jobs.finetuning.places import places
from jobs.finetuning.worker import TrainingTask, train

__all__ = ["started_again", "train_on_cluster"]

# What another attempt would meet again.
LASTING = (SettingsError, ModelError, DatasetError, TrainingError)


def train_on_cluster(
    task: TrainingTask, resources: Resources, *, storage: Path, say: Callable[[str], None]
) -> None:
    """Train to the end.

    Args:
        task: what the workers are told.
        resources: of the cluster that was joined.
        storage: folder for what Ray notes of each start; of no use afterwards.
        say: told of waits and new starts.

    Raises:
        FlexiVideoError: what a worker says that another attempt would meet again.
        TrainingError: if workers were lost too often.
    """
    run = task.settings.run
    n_workers, use_gpu = places(run.workers, resources, free=ray.available_resources(), say=say)

    def start() -> None:
        TorchTrainer(
            _train,
            train_loop_config={"task": task},
            scaling_config=ScalingConfig(num_workers=n_workers, use_gpu=use_gpu),
            run_config=RunConfig(
                # Checkpoints are ours; Ray's folder of a start is never gone back to.
                name=f"start-{secrets.token_hex(4)}",
                storage_path=str(storage),
                failure_config=FailureConfig(max_failures=0),
            ),
        ).fit()

    started_again(start, max_failures=run.max_failures, out=task.out, say=say)


def started_again(
    start: Callable[[], None], *, max_failures: int, out: Path, say: Callable[[str], None]
) -> None:
    """Start workers, and again where one was lost, until they come to their end.

    Args:
        start: starts them and waits for their end.
        max_failures: how often they are started again.
        out: folder of the run, for the message.
        say: told of each new start.

    Raises:
        FlexiVideoError: what a worker says that another attempt would meet again.
        TrainingError: if they failed more often than that.
    """
    for n_failures in range(1, max_failures + 2):
        try:
            return start()
        except TrainingFailedError as error:
            failures: dict[int, Exception] = getattr(error, "worker_failures", {})
            for failure in failures.values():
                if isinstance(failure, LASTING):
                    raise failure from error
            if not failures or n_failures > max_failures:
                raise TrainingError(
                    f"{_cause(error, failures)}; started again, the run in {out} goes on from its "
                    f"newest checkpoint"
                ) from error
            say(
                f"{_cause(error, failures)}; the workers are started again from the newest "
                f"checkpoint, {n_failures} of at most {max_failures} times"
            )


def _cause(error: TrainingFailedError, failures: dict[int, Exception]) -> str:
    """What the first worker that failed says, without its traceback."""
    for rank, failure in sorted(failures.items()):
        return f"worker {rank} failed: {type(failure).__name__}: {failure}"
    return f"training failed: {error}"


def _train(config: dict[str, Any]) -> None:
    train(config["task"])
