"""The whole run, top to bottom; the one file of the pipeline that knows Ray Data.

    list -> resume -> [ decode + sample + ATS + pack ] -> [ caption + embed ] -> assemble -> commit
    driver             a pool of CPU workers, 1:N,        a pool of model        driver
                       rows of clips with pixels          actors, N:N

Rows stream: blocks are small, so the first clips are captioned while their video is still being
decoded, and Ray Data holds the decoders back once the object store's share of the queue is full.
The driver is the writer. It puts the rows of each video together and commits whole videos only;
whatever a dead worker or node tore apart is pending at the end of a pass and goes into another.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext, Dataset

from pipeline.assembly import Assembler, CompleteVideo
from pipeline.caption_keeper import CaptionKeeper
from pipeline.caption_stage import CaptionStage
from pipeline.commit import Committer
from pipeline.decode_stage import DecodeStage
from pipeline.execution import Execution, StageState
from pipeline.pools import Pool, Pools
from pipeline.progress import Progress, Snapshot
from pipeline.records import REF_SCHEMA, VideoRef
from pipeline.retry import MAX_PASSES
from pipeline.row_stream import RowStream
from pipeline.run_plan import RunPlan
from pipeline.stage_watch import StageWatch

__all__ = ["captioned_dataset", "captioned_rows", "index_videos"]

MIB = 2**20

# Rows leave a stage in blocks of this size. At Ray's 128 MiB nothing would reach the model before a
# short video has ended; far smaller blocks cost more in bookkeeping than they save in waiting.
BLOCK_BYTES = 4 * MIB

IDLE_RELEASE_S = 60.0

# References are handed out in runs this long at most. Short runs keep the workers evenly loaded to
# the end; one video a block would make a million blocks of a large archive.
MAX_REFS_PER_BLOCK = 32
BLOCKS_PER_WORKER = 8


def index_videos(
    refs: Sequence[VideoRef],
    *,
    plan: RunPlan,
    pools: Pools,
    assembler: Assembler,
    committer: Committer,
    keeper: CaptionKeeper,
    progress: Progress,
    silent_after_s: float = 300.0,
    on_progress: Callable[[Snapshot], None] = lambda snapshot: None,
    on_notice: Callable[[str], None] = lambda sentence: None,
    heed: Callable[[], None] = lambda: None,
) -> None:
    """Index the videos and commit each as one whole; returns when all have a terminal row.

    Args:
        refs: what is to be done, each video once.
        plan: what the stages are given.
        pools: how many workers of each.
        assembler: puts the rows of each video together.
        committer: makes whole videos visible.
        keeper: keeps the captions of those that take long.
        progress: counts what passes.
        silent_after_s: give notice when no row has come for so long, seconds.
        on_progress: called with a snapshot whenever rows have come.
        on_notice: called with a sentence when a stage waits for its nodes or nothing goes on.
        heed: called again and again while the driver waits for rows, and may end the run by what
            it raises: never in the middle of a commit.
    """
    pending = {ref.video_id: ref for ref in refs}
    watch = StageWatch(
        pools, silent_after_s=silent_after_s, say=on_notice, states=_states, nodes=_nodes_alive
    )

    def look_up() -> None:
        heed()
        watch.look()

    for _ in range(MAX_PASSES):
        if not pending:
            break
        Execution.forget()
        rows_to_come = captioned_rows(list(pending.values()), plan, pools)
        # Closed here, whatever happens: left to the interpreter's end, it would call for a cluster
        # that is gone, and wait for it.
        with closing(RowStream(rows_to_come, end=Execution.end)) as stream:
            while (arrival := stream.next(look_up)) is not None:
                rows, queued = arrival
                progress.rows_arrived(rows, queued)
                for video in assembler.push(rows):
                    del pending[video.video_id]
                    progress.video_ended(video.outcome, n_caption_tokens=video.n_caption_tokens)
                    committer.add(video)
                if committer.due():
                    committer.commit()
                keeper.keep(assembler)
                on_progress(progress.snapshot())
                watch.waiting_begins()
    for ref in pending.values():
        lost = CompleteVideo.lost(ref, passes=MAX_PASSES)
        progress.video_ended(lost.outcome, n_caption_tokens=0)
        committer.add(lost)
    committer.commit()
    on_progress(progress.snapshot())


def captioned_rows(
    refs: Sequence[VideoRef], plan: RunPlan, pools: Pools
) -> Generator[tuple[pa.Table, dict[str, int]], None, None]:
    """Tables of ``CAPTIONED_SCHEMA`` as they become ready, with the blocks that wait by stage."""
    dataset = captioned_dataset(refs, plan, pools)
    for rows in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield rows, {stage: state.queued for stage, state in _states().items()}


def captioned_dataset(refs: Sequence[VideoRef], plan: RunPlan, pools: Pools) -> Dataset:
    """The two stages over the references, lazily: nothing runs before it is iterated.

    Both stages are actor pools, which Ray Data never fuses: a video that takes its decoder down
    must not take a model with it. Both restart and retry without end, since what a video can do is
    caught in the decode child; what kills a worker is the machine's doing.
    """
    _configure(DataContext.get_current())
    dataset: Dataset = ray.data.from_blocks(_ref_blocks(refs, pools.decode.largest))
    dataset = dataset.map_batches(
        DecodeStage,
        fn_constructor_args=(plan.decode,),
        batch_size=1,
        batch_format="pyarrow",
        zero_copy_batch=True,
        **_pool(pools.decode),
    )
    return dataset.map_batches(
        CaptionStage,
        fn_constructor_args=(plan.caption, pools.caption_threads),
        batch_size=plan.caption.settings.batch_clips,
        batch_format="pyarrow",
        zero_copy_batch=True,
        **_pool(pools.caption),
    )


def _pool(pool: Pool) -> dict[str, Any]:
    return {
        "compute": ActorPoolStrategy(min_size=pool.smallest, max_size=pool.largest),
        "num_cpus": pool.num_cpus,
        "num_gpus": pool.num_gpus or None,
        "resources": pool.nodes.resources or None,
        "label_selector": pool.nodes.label_selector or None,
    }


def _configure(context: DataContext) -> None:
    context.target_max_block_size = BLOCK_BYTES
    context.enable_progress_bars = False  # the run shows its own
    context.execution_options.preserve_order = False
    # Ray hands on a block of an idle stage at these intervals whether or not there is room, by
    # default every 10 s: before a slow model the queue would grow for ever.
    context.output_backpressure_guard_release_interval_s = IDLE_RELEASE_S
    callbacks: list[Any] = context.custom_execution_callback_classes
    if Execution not in callbacks:
        callbacks.append(Execution)
    # A long video may be silent for long, and a pool may wait for its machines: that is said, and
    # ends nothing. A decoder that hangs has the decode child's own deadline.
    context.execution_no_progress_timeout_s = -1


def _ref_blocks(refs: Sequence[VideoRef], n_workers: int) -> list[pa.Table]:
    per_block = len(refs) // (n_workers * BLOCKS_PER_WORKER)
    per_block = min(max(per_block, 1), MAX_REFS_PER_BLOCK)
    table = pa.Table.from_pylist(
        [asdict(ref) for ref in refs],
        schema=REF_SCHEMA,
    )
    return [table.slice(start, per_block) for start in range(0, len(refs), per_block)]


def _states() -> dict[str, StageState]:
    return Execution.states({"decode": DecodeStage.__name__, "caption": CaptionStage.__name__})


def _nodes_alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]
