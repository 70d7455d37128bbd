"""Says of a run that does not go on which stage it is, and what it waits for.

Two things are told, and neither ends the run: that a stage has no worker, since the nodes that are
alive have no place for one (and when it has one again); and that no row has come for long, with
what each stage is doing, again at intervals that double.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.execution import StageState
from pipeline.pools import Pools
from pipeline.room import lacking

__all__ = ["StageWatch"]

# The cluster is asked this often, seconds; a wait is told when it was seen so many times in a row,
# since a worker that starts again has no place for a moment.
LOOK_S = 1.0
LOOKS_BEFORE_TOLD = 3


class StageWatch:
    """Watches the stages of a run while the driver waits for their rows."""

    def __init__(
        self,
        pools: Pools,
        *,
        silent_after_s: float,
        say: Callable[[str], None],
        states: Callable[[], Mapping[str, StageState]],
        nodes: Callable[[], Sequence[Mapping[str, Any]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is waited for yet.

        Args:
            pools: the workers of each stage.
            silent_after_s: say it when no row has come for so long, seconds.
            say: takes a sentence.
            states: stage to what it is doing.
            nodes: those that are alive, as ``ray.nodes()`` tells them.
            clock: seconds.
        """
        self._pools, self._silent_after_s, self._say = pools, silent_after_s, say
        self._states, self._nodes, self._clock = states, nodes, clock
        self._n_looks_without_place = dict.fromkeys(pools.by_stage, 0)
        self._given: dict[str, tuple[int, float]] = {}
        self._looked_s = clock()
        self.waiting_begins()

    def waiting_begins(self) -> None:
        """Rows have come and are dealt with; the next are waited for."""
        self._waits_since_s = self._clock()
        self._say_silence_at_s = self._silent_after_s

    def look(self) -> None:
        """Called again and again while no row comes."""
        now = self._clock()
        if now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        states = self._states()
        for stage, state in states.items():
            if state.n_given != self._given.get(stage, (None,))[0]:
                self._given[stage] = (state.n_given, now)
        self._tell_who_has_no_place(states)
        self._tell_silence(states, now)

    def _tell_who_has_no_place(self, states: Mapping[str, StageState]) -> None:
        for stage, state in states.items():
            n_looks = self._n_looks_without_place[stage]
            reason = None
            if state.n_alive == 0 < state.n_starting:
                reason = self._lacking(stage, states)
            if reason is None:
                self._n_looks_without_place[stage] = 0
                if n_looks >= LOOKS_BEFORE_TOLD:
                    self._say(f"{stage} goes on: there is a place for a worker")
                continue
            self._n_looks_without_place[stage] += 1
            if n_looks + 1 == LOOKS_BEFORE_TOLD:
                self._say(f"{stage} waits: a worker needs {reason}; it goes on as soon as there is")

    def _lacking(self, stage: str, states: Mapping[str, StageState]) -> str | None:
        pools = self._pools.by_stage
        beside = [(pools[name], state.n_alive) for name, state in states.items()]
        return lacking(pools[stage], self._nodes(), beside=beside)

    def _tell_silence(self, states: Mapping[str, StageState], now: float) -> None:
        silent_s = now - self._waits_since_s
        if silent_s < self._say_silence_at_s:
            return
        self._say_silence_at_s = 2 * silent_s
        stages = [
            _sentence(stage, state, now - self._given[stage][1]) for stage, state in states.items()
        ]
        self._say(
            f"no row has come for {silent_s:.0f} s: {'; '.join(stages) or 'nothing has begun'}"
        )


def _sentence(stage: str, state: StageState, silent_s: float) -> str:
    return (
        f"{stage} has handed on nothing for {silent_s:.0f} s ({state.queued} blocks wait for it, "
        f"{state.n_tasks} in work, {state.n_alive} workers alive, {state.n_starting} starting)"
    )
