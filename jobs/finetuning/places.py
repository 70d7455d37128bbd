"""Places for the training workers: how many there are to be, and whether the cluster has them.

Ray Train waits without a word for what it is not given; so it is compared before.
"""

from collections.abc import Callable, Mapping

from flexivideo.errors import SettingsError
from jobs.cluster import Resources

__all__ = ["places"]


def places(
    workers: int | None,
    resources: Resources,
    *,
    free: Mapping[str, float],
    say: Callable[[str], None],
) -> tuple[int, bool]:
    """How many workers there are to be, and whether each takes a GPU, as where there are any.

    Args:
        workers: how many were asked for. Default: one a GPU; without GPUs, one.
        resources: what the cluster has in all.
        free: what nobody holds now, by Ray's names.
        say: told what is waited for, if the cluster may yet get it.

    Raises:
        SettingsError: if there are too few for ever.
    """
    use_gpu = resources.gpus >= 1
    kind, there = ("GPU", resources.gpus) if use_gpu else ("CPU", resources.cpus)
    wanted = workers or (int(there) if use_gpu else 1)
    needed = f"{wanted} training workers need a {kind} each: {wanted} are wanted"
    if wanted > there and not resources.may_grow:
        raise SettingsError(
            f"{needed}, and {there:g} are there; expected at most as many workers: lower "
            f"--workers, or name a larger cluster by RAY_ADDRESS"
        )
    if wanted > there:
        say(f"{needed}, and the cluster has {there:g}; training begins as soon as there are more")
    elif wanted > free.get(kind, 0.0):
        say(
            f"{needed}, and {free.get(kind, 0.0):g} of {there:g} are free; training begins as soon "
            f"as the others are"
        )
    return wanted, use_gpu
