"""``flexivideo convert``: a Qwen2.5-VL checkpoint becomes a FlexiVideo checkpoint."""

from pathlib import Path
from typing import Literal

from rich.console import Console

from jobs.interruption import EXIT_UNFINISHED, Interrupted, Interruption
from pipeline.local_uri import on_a_disk

__all__ = ["convert"]

# From a signal to the end, seconds: the largest shard is written meanwhile.
WITHIN_S = 60.0
LEFT = "; it is cut off. The same command begins anew, and removes what this one left"


def convert(
    source: str,
    destination: Path,
    *,
    temporal_resample: Literal["tei", "pi", "pi_const"] = "tei",
    t_init: int = 6,
) -> int:
    """Make a FlexiVideo checkpoint of a Qwen2.5-VL checkpoint, shard by shard.

    Training-free, and equal to the source on two-frame scenes:

        flexivideo convert Qwen/Qwen2.5-VL-3B-Instruct flexivideo-3b

    With the paper's expanded kernel, to be fine-tuned:

        flexivideo convert ~/Qwen2.5-VL-3B-Instruct flexivideo-3b-pi --temporal-resample pi

    Parameters
    ----------
    source: str
        Folder or hub name.
    destination: Path
        Folder to make.
    temporal_resample: str
        How the temporal kernel meets a scene's length: tei needs no training, pi is the paper's,
        pi_const keeps its answer to a still scene.
    t_init: int
        Taps of the expanded kernel: a multiple of the source's, which are two.
    """
    from flexivideo.conversion import convert_checkpoint  # torch takes seconds: only if needed
    from flexivideo.visual_spec import checkpoint_folder

    on_a_disk("destination", destination)
    console = Console(soft_wrap=True)
    checkpoint_folder(source)  # what the hub has to give is fetched, and can be broken off, before
    try:
        with Interruption(within_s=WITHIN_S, left=LEFT) as interruption:
            written = convert_checkpoint(
                source,
                destination,
                temporal_resample=temporal_resample,
                t_init=t_init,
                check=interruption.check,
            )
    except Interrupted as signal:
        console.print(f"{signal} came: nothing was written; the same command begins anew")
        return EXIT_UNFINISHED
    console.print(
        f"{destination}: {len(written.shapes)} tensors in {len(written.shards)} files, "
        f"{temporal_resample}; use it as --model {destination}",
        highlight=False,
        markup=False,
    )
    return 0
