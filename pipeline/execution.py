"""The running execution of a Ray dataset, seen from outside: what its stages do, and its end.

Ray Data has no public handle on a run. It hands its executor to callbacks, and what is read off it
stands here, under names that Ray does not promise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["Execution", "StageState"]


@dataclass(frozen=True, kw_only=True)
class StageState:
    """What a stage is doing.

    Attributes:
        queued: blocks that wait for it.
        n_given: blocks that it has handed on.
        n_alive: workers that can work.
        n_starting: workers that wait for a place on a node, or load.
        n_tasks: pieces of work in the workers' hands.
    """

    queued: int
    n_given: int
    n_alive: int
    n_starting: int
    n_tasks: int


class Execution:
    """The newest execution of this process; Ray Data makes an instance of it for each."""

    _executor: ClassVar[Any] = None

    @classmethod
    def states(cls, stages: Mapping[str, str]) -> dict[str, StageState]:
        """Stage to its state, as far as they have begun.

        Args:
            stages: name of a stage to the name of its class.
        """
        topology = getattr(cls._executor, "_topology", None) or {}
        return {
            stage: _state(operator, state)
            for operator, state in list(topology.items())
            for stage, class_name in stages.items()
            if class_name in operator.name
        }

    @classmethod
    def end(cls) -> None:
        """End it, if it has begun: its workers are stopped, and its rows come to an end."""
        if cls._executor is not None:
            cls._executor.shutdown(force=True)

    @classmethod
    def forget(cls) -> None:
        """The next one has not begun."""
        cls._executor = None

    def before_execution_starts(self, executor: Any) -> None:
        """Called by Ray Data."""
        Execution._executor = executor

    def on_execution_step(self, executor: Any) -> None:
        """Called by Ray Data."""

    def after_execution_succeeds(self, executor: Any) -> None:
        """Called by Ray Data."""

    def after_execution_fails(self, executor: Any, error: Exception) -> None:
        """Called by Ray Data."""


def _state(operator: Any, state: Any) -> StageState:
    workers = operator.get_actor_info()
    return StageState(
        queued=state.total_enqueued_input_blocks(),
        n_given=operator.metrics.num_outputs_taken,
        n_alive=workers.running,
        n_starting=workers.pending + workers.restarting,
        n_tasks=workers.tasks_in_flight,
    )
