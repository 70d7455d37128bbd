"""How many workers of each kind, and what each asks of the cluster.

A decoder wants about a CPU; a model actor wants a GPU where there is one. Without GPUs the model
shares the CPUs: one actor for every four, so that neither stage waits for the other by design, and
on a machine of one or two CPUs half of one, since a pool that asks for all would leave the decoders
none and the run would wait for ever.
"""

from dataclasses import dataclass
from math import ceil

from flexivideo.errors import SettingsError
from pipeline.settings import PoolSettings

__all__ = ["Pool", "Pools", "size_pools"]

CPUS_PER_CAPTION_ACTOR = 4


@dataclass(frozen=True, kw_only=True)
class Pool:
    """An actor pool that grows and shrinks between two sizes; CPUs and GPUs are an actor's."""

    smallest: int
    largest: int
    num_cpus: float
    num_gpus: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Pools:
    """The two pools of a run."""

    decode: Pool
    caption: Pool

    @property
    def n_workers(self) -> dict[str, int]:
        """Stage to workers at most."""
        return {"decode": self.decode.largest, "caption": self.caption.largest}

    @property
    def caption_threads(self) -> int:
        """Threads that torch may use in a model actor."""
        return max(1, int(self.caption.num_cpus))


def size_pools(settings: PoolSettings, *, cpus: float, gpus: float) -> Pools:
    """Pools for a cluster of so many CPUs and GPUs; what the settings name is taken as it is.

    Raises:
        SettingsError: if the cluster is too small for the fewest workers asked for.
    """
    if gpus >= 1:
        caption_cpus, caption_largest = min(1.0, cpus / 4), int(gpus)
    elif cpus <= 2:
        caption_cpus, caption_largest = min(0.5, cpus / 2), 1
    else:
        caption_cpus, caption_largest = 1.0, max(1, int(cpus) // CPUS_PER_CAPTION_ACTOR)
    caption_largest = settings.caption_max or max(caption_largest, settings.caption_min or 1)
    caption = Pool(
        smallest=settings.caption_min or 1,
        largest=caption_largest,
        num_cpus=caption_cpus,
        num_gpus=1.0 if gpus >= 1 else 0.0,
    )
    # What is left is shared out whole: where it ends in half a CPU, all get a little less than one.
    free = cpus - caption.largest * caption.num_cpus
    fitting = max(1, ceil(free))
    decode_smallest = settings.decode_min or 1
    decode = Pool(
        smallest=decode_smallest,
        largest=settings.decode_max or max(decode_smallest, fitting),
        num_cpus=min(1.0, max(free, 0.5) / fitting),
    )
    needed = decode.smallest * decode.num_cpus + caption.smallest * caption.num_cpus
    if needed > cpus or caption.smallest * caption.num_gpus > gpus:
        raise SettingsError(
            f"the pools ask for {needed:g} CPUs and {caption.smallest * caption.num_gpus:g} GPUs "
            f"at least, and the cluster has {cpus:g} and {gpus:g}; lower decode_min or caption_min"
        )
    return Pools(decode=decode, caption=caption)
