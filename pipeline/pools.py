"""How many workers of each kind, what each asks of the cluster, and on which nodes.

A decoder wants about a CPU; a model actor wants a GPU where there is one. Without GPUs the model
shares the CPUs: one actor for every four, so that neither stage waits for the other by design, and
on a machine of one or two CPUs half of one, since a pool that asks for all would leave the decoders
none and the run would wait for ever.

A cluster that may grow (any that a job has joined: an autoscaler, or a person, may add nodes) is
taken to be as large as the most workers that the settings name, and nothing is refused that it does
not have yet: who waits for nodes says so (``pipeline.stage_watch``).
"""

from dataclasses import dataclass, field
from math import ceil

from flexivideo.errors import SettingsError
from pipeline.node_choice import NodeChoice
from pipeline.settings import PoolSettings

__all__ = ["Pool", "Pools", "size_pools"]

CPUS_PER_CAPTION_ACTOR = 4


@dataclass(frozen=True, kw_only=True)
class Pool:
    """An actor pool that grows and shrinks between two sizes.

    Attributes:
        smallest: fewest workers.
        largest: most workers.
        num_cpus: CPUs of one worker.
        num_gpus: GPUs of one worker.
        nodes: where its workers may be.
    """

    smallest: int
    largest: int
    num_cpus: float
    num_gpus: float = 0.0
    nodes: NodeChoice = field(default_factory=NodeChoice)


@dataclass(frozen=True, kw_only=True)
class Pools:
    """The two pools of a run."""

    decode: Pool
    caption: Pool

    @property
    def by_stage(self) -> dict[str, Pool]:
        """Stage to its pool, in the order of the work."""
        return {"decode": self.decode, "caption": self.caption}

    @property
    def n_workers(self) -> dict[str, int]:
        """Stage to workers at most."""
        return {stage: pool.largest for stage, pool in self.by_stage.items()}

    @property
    def caption_threads(self) -> int:
        """Threads that torch may use in a model actor."""
        return max(1, int(self.caption.num_cpus))


def size_pools(
    settings: PoolSettings, *, cpus: float, gpus: float, may_grow: bool = False
) -> Pools:
    """Pools for a cluster of so many CPUs and GPUs; what the settings name is taken as it is.

    Raises:
        SettingsError: if the cluster is too small for the fewest workers asked for, and stays so.
    """
    has_gpus = gpus >= 1 if settings.caption_gpus is None else settings.caption_gpus > 0
    a_models_gpus = (settings.caption_gpus or 1.0) if has_gpus else 0.0
    there_cpus = cpus
    if may_grow:
        cpus = max(1.0, cpus, (settings.decode_max or 0) + (settings.caption_max or 0))
        gpus = max(gpus, a_models_gpus * (settings.caption_max or settings.caption_min or 1))
    caption_cpus, caption_largest = _caption_share(cpus, gpus, a_models_gpus)
    caption = Pool(
        smallest=settings.caption_min or 1,
        largest=settings.caption_max or max(caption_largest, settings.caption_min or 1),
        num_cpus=caption_cpus,
        num_gpus=a_models_gpus,
        nodes=NodeChoice.parse("caption_on", settings.caption_on),
    )
    # What is left is shared out whole: where it ends in half a CPU, all get a little less than one.
    free = cpus - caption.largest * caption.num_cpus
    fitting = max(1, ceil(free))
    decode_smallest = settings.decode_min or 1
    decode = Pool(
        smallest=decode_smallest,
        largest=settings.decode_max or max(decode_smallest, fitting),
        num_cpus=min(1.0, max(free, 0.5) / fitting),
        nodes=NodeChoice.parse("decode_on", settings.decode_on),
    )
    needed = decode.smallest * decode.num_cpus + caption.smallest * caption.num_cpus
    needed_gpus = caption.smallest * caption.num_gpus
    if not may_grow and (needed > there_cpus or needed_gpus > gpus):
        raise SettingsError(
            f"the pools ask for {needed:g} CPUs and {needed_gpus:g} GPUs at least, and this "
            f"machine has {there_cpus:g} and {gpus:g}; lower decode_min, caption_min or "
            f"caption_gpus"
        )
    return Pools(decode=decode, caption=caption)


def _caption_share(cpus: float, gpus: float, a_models_gpus: float) -> tuple[float, int]:
    """CPUs of one model actor, and the most actors."""
    if a_models_gpus:
        return min(1.0, cpus / 4), max(1, int(gpus / a_models_gpus))
    if cpus <= 2:
        return min(0.5, cpus / 2), 1
    return 1.0, max(1, int(cpus) // CPUS_PER_CAPTION_ACTOR)
