"""What all of ``flexivideo index`` takes beside its two stages alone, and where the rest goes.

    python infra/benchmarks/index_overhead.py FILE... [--rounds 3]

In each round, with the embedded model on this machine's CPUs:

    start-up   ``flexivideo index`` of the smallest file: imports, cluster, workers, model, commit
    index      ``flexivideo index`` of all files, less the start-up
    decode     all files by as many decode workers as the run has, each with its supervised child
    caption    the clips of those, by as many model actors and threads as the run has

A stage alone may use more of the machine than its share in the run (``pipeline.pools``); its
seconds at that share are its CPU seconds over the share's CPUs, where it used more. The rule is
index at most 1.1 x the slower stage at its share. Then the CPU seconds of each kind of process of
the run, less those of the start-up, beside what the stages took alone. Medians of the rounds. (Of
one file only one decode worker is started; the others' start counts for the run.)
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty
from statistics import median
from typing import Any

import psutil
from cyclopts import run
from long_film import KINDS

SAMPLE_INTERVAL_S = 0.5
DECODE, CAPTION, INDEX, START_UP = "decode alone", "caption alone", "index", "start-up"

# Seconds by the clock, and of CPU, in all and by kind of process.
Spent = dict[str, float]
WALL, CPU = "wall", "CPU"


def main(*file: Path, rounds: int = 3) -> None:
    """Measure.

    Args:
        file: videos.
        rounds: how often.
    """
    from pipeline.pools import size_pools
    from pipeline.run_plan import plan_run
    from pipeline.settings import IndexSettings, PoolSettings

    plan = plan_run(IndexSettings())
    pools = size_pools(PoolSettings(), cpus=os.cpu_count() or 1, gpus=0)
    smallest = min(file, key=lambda path: path.stat().st_size)
    found: dict[str, list[Spent]] = {DECODE: [], CAPTION: [], START_UP: [], INDEX: []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            files = [str(path.resolve()) for path in file]
            decoding = plan.decode, str(smallest.resolve()), folder
            found[DECODE].append(alone(decode, files, pools.decode.largest, decoding))
            tables = sorted(map(str, Path(folder).glob("*.arrow")))
            captioning = plan.caption, pools.caption_threads, tables[0]
            found[CAPTION].append(alone(caption, tables, pools.caption.largest, captioning))
            found[START_UP].append(index([smallest], Path(folder, "start-up")))
            found[INDEX].append(index(file, Path(folder, "index")))
    spent = {what: _medians(of_rounds) for what, of_rounds in found.items()}
    shares = {
        DECODE: pools.decode.largest * pools.decode.num_cpus,
        CAPTION: pools.caption.largest * pools.caption.num_cpus,
    }
    report(spent, shares)


def alone(
    work: Callable[..., Iterator[float]],
    items: Sequence[str],
    n_workers: int,
    settings: tuple[Any, ...],
) -> Spent:
    """A stage alone: workers that warm up, wait for each other, and share the items."""
    context = multiprocessing.get_context("spawn")
    tasks, answers, ready = context.Queue(), context.Queue(), context.Barrier(n_workers + 1)
    for item in items:
        tasks.put(item)
    workers = [
        context.Process(target=be_worker, args=(work, settings, tasks, answers, ready))
        for _ in range(n_workers)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    began_s = time.perf_counter()
    cpu_s = sum(answers.get() for _ in workers)
    wall_s = time.perf_counter() - began_s
    for worker in workers:
        worker.join()
    return {WALL: wall_s, CPU: cpu_s}


def be_worker(
    work: Callable[..., Iterator[float]],
    settings: tuple[Any, ...],
    tasks: Any,
    answers: Any,
    ready: Any,
) -> None:
    """What a worker's process does: one item after another, and the CPU seconds of all."""
    working = work(*settings, lambda: _next(tasks))
    next(working)
    ready.wait()
    answers.put(sum(working))


def _next(tasks: Any) -> str | None:
    try:
        item: str = tasks.get(timeout=0.2)
    except Empty:
        return None
    return item


def decode(
    plan: Any, smallest: str, folder: str, next_item: Callable[[], str | None]
) -> Iterator[float]:
    """Warm up, then decode files into tables of a folder; CPU seconds of each."""
    import pyarrow as pa

    from pipeline.decode_stage import DecodeStage
    from pipeline.local_uri import to_uri
    from pipeline.records import DECODED_SCHEMA, REF_SCHEMA
    from pipeline.sources import local_ref

    stage = DecodeStage(plan)

    def tables(path: str) -> Iterator[pa.Table]:
        row = vars(local_ref(to_uri(path)))
        return stage(pa.Table.from_pylist([row], schema=REF_SCHEMA))

    for _ in tables(smallest):
        pass
    yield 0.0
    began_s = time.process_time()
    while (path := next_item()) is not None:
        target = str(Path(folder, f"{Path(path).name}.arrow"))
        with pa.ipc.new_file(target, DECODED_SCHEMA) as writer:
            for table in tables(path):
                writer.write_table(table)
                yield sum(table["decode_cpu_s"].to_pylist())
    stage.close()
    yield time.process_time() - began_s


def caption(
    plan: Any, threads: int, table: str, next_item: Callable[[], str | None]
) -> Iterator[float]:
    """Warm up, then caption tables in batches over their ends; CPU seconds at the end."""
    import pyarrow as pa

    from pipeline.caption_stage import CaptionStage

    stage = CaptionStage(plan, threads)
    n_rows = plan.settings.batch_clips

    def read(path: str) -> pa.Table:
        with pa.ipc.open_file(path) as reader:
            return reader.read_all()

    stage(read(table).slice(0, n_rows))
    yield 0.0
    began_s, waiting = time.process_time(), []
    while (path := next_item()) is not None:
        waiting.append(read(path))
        rows = pa.concat_tables(waiting)
        while rows.num_rows >= n_rows:
            stage(rows.slice(0, n_rows).combine_chunks())
            rows = rows.slice(n_rows)
        waiting = [rows]
    if waiting:
        stage(pa.concat_tables(waiting).combine_chunks())
    yield time.process_time() - began_s


def index(files: Sequence[Path], root: Path) -> Spent:
    """The command in a process of its own, and what each kind of its processes took."""
    command = [sys.executable, "-m", "jobs.index", *map(str, files), "--out", str(root), "--json"]
    began_s = time.perf_counter()
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    by_process: dict[int, tuple[str, float]] = {}
    while job.poll() is None:
        with suppress(psutil.Error):
            driver = psutil.Process(job.pid)
            for process in (driver, *driver.children(recursive=True)):
                with suppress(psutil.Error):
                    by_process[process.pid] = _kind(process, job.pid), sum(process.cpu_times()[:2])
        with suppress(subprocess.TimeoutExpired):
            job.wait(timeout=SAMPLE_INTERVAL_S)
    if job.returncode:
        raise RuntimeError(f"flexivideo index exited with {job.returncode}; see its stderr")
    spent = dict.fromkeys(["driver", *KINDS, "Ray"], 0.0)
    for kind, cpu_s in by_process.values():
        spent[kind] += cpu_s
    return {WALL: time.perf_counter() - began_s, CPU: sum(spent.values())} | spent


def _kind(process: psutil.Process, driver: int) -> str:
    if process.pid == driver:
        return "driver"
    line = " ".join(process.cmdline())
    return next((kind for kind, mark in KINDS.items() if mark in line), "Ray")


def _medians(rounds: Sequence[Spent]) -> Spent:
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def report(spent: dict[str, Spent], shares: dict[str, float]) -> None:
    """Print the tables."""
    run_s = spent[INDEX][WALL] - spent[START_UP][WALL]
    print("| | wall s | CPU s | CPUs in the run | s at that share |\n|---|---|---|---|---|")
    slower_s = 0.0
    for stage, cpus in shares.items():
        wall_s, cpu_s = spent[stage][WALL], spent[stage][CPU]
        at_share_s = max(wall_s, cpu_s / cpus)
        slower_s = max(slower_s, at_share_s)
        print(f"| {stage} | {wall_s:.1f} | {cpu_s:.1f} | {cpus:g} | {at_share_s:.1f} |")
    cpu_s = spent[INDEX][CPU] - spent[START_UP][CPU]
    print(f"| index, without start-up | {run_s:.1f} | {cpu_s:.1f} | {sum(shares.values()):g} | |")
    print(f"| start-up | {spent[START_UP][WALL]:.1f} | {spent[START_UP][CPU]:.1f} | | |")
    print(f"\nindex over the slower stage at its share: {run_s / slower_s:.2f}\n")
    print("| CPU seconds of the run | | alone |\n|---|---|---|")
    of_stage = {"decode child": DECODE, "model actor": CAPTION}
    for kind in ("driver", *KINDS, "Ray"):
        own_s = spent[INDEX][kind] - spent[START_UP][kind]
        beside = f"{spent[of_stage[kind]][CPU]:.1f}" if kind in of_stage else ""
        print(f"| {kind} | {own_s:.1f} | {beside} |")
    idle_s = run_s * sum(shares.values()) - cpu_s
    print(f"| nobody, or others on the machine | {idle_s:.1f} | |")


if __name__ == "__main__":
    run(main)
