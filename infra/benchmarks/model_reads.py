"""How often the actors of one machine read a model from its disk, and what of it they share.

    python infra/benchmarks/model_reads.py MODEL --actors 2      # as root

It empties the page cache first. Each actor is a process of its own; all start at once, load the
model as a model actor does and touch all of its weights. What Linux counts as read from the disk is
added up (``/proc/self/io``): once the size of the weights, if they are read once a machine.
"""

import multiprocessing
import os
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from cyclopts import run

from flexivideo.checkpoints import load_model

MIB = 2**20

Seen = tuple[int, int, int]


def main(model: Path, *, actors: int = 2, dtype: str = "bfloat16") -> None:
    """Measure.

    Args:
        model: folder of a checkpoint whose weights have that dtype.
        actors: how many load it at once.
        dtype: float32, bfloat16 or float16.
    """
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("1")
    context = multiprocessing.get_context("spawn")
    everybody, told = context.Barrier(actors), context.SimpleQueue()
    loads = [
        context.Process(target=_load, args=(str(model), dtype, everybody, told))
        for _ in range(actors)
    ]
    for load in loads:
        load.start()
    seen = [told.get() for _ in loads]
    for load in loads:
        load.join()
    for n_read, shared, own in seen:
        print(f"{n_read:,} MiB read, {shared:,} MiB shared, {own:,} MiB of its own")
    weights = sum(file.stat().st_size for file in model.glob("*.safetensors")) // MIB
    print(f"{sum(n_read for n_read, *_ in seen):,} MiB read by all, of {weights:,} MiB of weights")


def _load(model: str, dtype: str, everybody: Barrier, told: "SimpleQueue[Seen]") -> None:
    """Tell what was read, is shared and is this process's alone, MiB, while all have the model."""
    everybody.wait()
    before = _counted("/proc/self/io", "read_bytes")
    loaded = load_model(model, dtype=dtype, device="cpu")
    for weights in loaded.parameters():
        weights.detach().view(-1)[::64].sum()  # one of each page at least
    n_read = _counted("/proc/self/io", "read_bytes") - before
    everybody.wait()
    kibs = [_counted("/proc/self/smaps_rollup", f"{name}_Clean") for name in ("Shared", "Private")]
    kibs.append(_counted("/proc/self/smaps_rollup", "Private_Dirty"))
    everybody.wait()
    told.put((n_read // MIB, kibs[0] // 1024, sum(kibs[1:]) // 1024))


def _counted(file: str, name: str) -> int:
    (line,) = [line for line in Path(file).read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1])


if __name__ == "__main__":
    run(main)
