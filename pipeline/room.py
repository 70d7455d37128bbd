"""Whether a worker has a place on the nodes that are there, and what is lacking if it has none."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.pools import Pool

__all__ = ["lacking"]

Node = Mapping[str, Any]


def lacking(pool: Pool, nodes: Sequence[Node], *, beside: Iterable[tuple[Pool, int]]) -> str | None:
    """What one worker of a pool waits for; None if there is a place for it.

    Args:
        pool: whose worker.
        nodes: those that are alive, as ``ray.nodes()`` tells them.
        beside: pools with the number of their workers that have their places already.
    """
    # Where the others really are, nobody says: if they can leave a place, none is lacking.
    rooms = sorted((_Room(node) for node in nodes), key=lambda room: room.has_room_for(pool))
    for other, n_workers in beside:
        for _ in range(n_workers):
            any(room.takes(other) for room in rooms)
    if any(room.takes(pool) for room in rooms):
        return None
    need = _amount(pool.num_cpus, "CPU")
    if pool.num_gpus:
        need += f" and {_amount(pool.num_gpus, 'GPU')}"
    return f"{need} on {pool.nodes}; {_what_there_is(pool, nodes)}"


def _what_there_is(pool: Pool, nodes: Sequence[Node]) -> str:
    chosen = [node for node in nodes if pool.nodes.allows(dict(node))]
    if not chosen:
        return f"no node that is alive is one (there are {len(nodes)})"
    cpus, gpus = (
        sum(node["Resources"].get(kind, 0.0) for node in chosen) for kind in ("CPU", "GPU")
    )
    return (
        f"alive are {len(chosen)} with {_amount(cpus, 'CPU')} and {_amount(gpus, 'GPU')} in all, "
        f"which other workers have or which do not suffice"
    )


def _amount(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


class _Room:
    """What is free on one node."""

    def __init__(self, node: Node) -> None:
        self._node = dict(node)
        self._cpus = node["Resources"].get("CPU", 0.0)
        self._gpus = node["Resources"].get("GPU", 0.0)

    def has_room_for(self, pool: Pool) -> bool:
        """Whether a worker of the pool has a place here."""
        fits = pool.num_cpus <= self._cpus and pool.num_gpus <= self._gpus
        return fits and pool.nodes.allows(self._node)

    def takes(self, pool: Pool) -> bool:
        """Give a worker of the pool its place, if it has one here."""
        if not self.has_room_for(pool):
            return False
        self._cpus -= pool.num_cpus
        self._gpus -= pool.num_gpus
        return True
