"""Index videos: the job behind ``flexivideo index``, and a Ray job's entry point.

    ray job submit -- python -m jobs.index SOURCE... --out ROOT

is the same command with the same options as ``flexivideo index SOURCE... --out ROOT``.
"""

import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime

from flexivideo.plain_world.words import EMBEDDED_LIMITS
from jobs.cluster import cluster
from jobs.display import Display, RunPreview
from jobs.interruption import Interrupted, Interruption
from pipeline.assembly import Assembler
from pipeline.commit import Committer
from pipeline.compose import index_videos
from pipeline.index_session import open_for_index
from pipeline.outcomes import Status
from pipeline.pools import size_pools
from pipeline.progress import Progress, Snapshot
from pipeline.records import VideoRef
from pipeline.resume import undone
from pipeline.run_plan import RunPlan, plan_run
from pipeline.runs import COMPLETED, INTERRUPTED, note_settings, noting_run
from pipeline.settings import IndexSettings
from pipeline.sources import Listing
from pipeline.store import Store, open_store

__all__ = ["RunReport", "run_index"]

# What --strict counts as a failure.
STRICT_FAILURES = (Status.PARTIAL, Status.FAILED, Status.UNAVAILABLE, Status.QUARANTINED)


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """How a run ended.

    Attributes:
        ended: "completed" or "interrupted".
        snapshot: the last counts.
    """

    ended: str
    snapshot: Snapshot

    def exit_code(self, *, strict: bool) -> int:
        """0 if every listed input has a terminal row; with ``strict`` also none of them failed."""
        failed = any(self.snapshot.by_status.get(status) for status in STRICT_FAILURES)
        return int(self.ended != COMPLETED or (strict and failed))


def run_index(
    sources: Sequence[str], *, out: str, settings: IndexSettings, display: Display
) -> RunReport:
    """List, say what is to be done, do it, say what was done.

    Raises:
        SettingsError: if a source, a setting or the root cannot be used.
        LeaseHeld: if another run holds the root.
        ModelError: if the model cannot be used.
        LeaseLost: if another run took the root meanwhile.
        WorkersFailed: if the cluster gives up.
    """
    listing, store = Listing(sources, settings.store), open_store(out, settings.root_store)
    plan = plan_run(settings, root=store.root)
    listed = list(listing)
    to_do = list(undone(store, plan.identity, listed))
    progress = Progress(n_listed=len(listed), n_already_done=len(listed) - len(to_do))
    display.plan(
        RunPreview(
            n_listed=len(listed),
            n_done=len(listed) - len(to_do),
            left=dict(listing.left),
            unreadable=listing.unreadable,
            linked=listing.linked,
            out=store.root,
            model=f"{settings.caption.model}" if settings.caption.model else EMBEDDED_LIMITS,
        )
    )
    ended = COMPLETED
    if to_do:
        with closing(display), Interruption() as interruption:
            ended = _run(store, plan, settings, to_do, progress, display, interruption)
    display.summary(progress.snapshot(), ended, store.root)
    return RunReport(ended=ended, snapshot=progress.snapshot())


def _run(
    store: Store,
    plan: RunPlan,
    settings: IndexSettings,
    to_do: list[VideoRef],
    progress: Progress,
    display: Display,
    interruption: Interruption,
) -> str:
    """Hold the root, index, commit, leave a row about the run; returns how it ended."""
    lease_s = settings.commit.lease_s
    with (
        open_for_index(store, run_id=_new_run_id(), lease_s=lease_s) as session,
        noting_run(session, settings=settings, progress=progress) as record,
    ):
        note_settings(session, plan.identity)
        committer = Committer(
            session,
            identity=plan.identity,
            settings=settings.commit,
            sample_fps=plan.decode.segmentation.sample_fps,
            embedding_metadata=plan.embedding_metadata,
        )
        with committer, Assembler() as assembler, ExitStack() as joined:
            try:
                with interruption.starting():
                    resources = joined.enter_context(cluster())
                pools = size_pools(settings.pools, cpus=resources.cpus, gpus=resources.gpus)
                progress.started(pools.n_workers)
                index_videos(
                    list(undone(store, plan.identity, to_do)),  # now that nobody else commits
                    plan=plan,
                    pools=pools,
                    assembler=assembler,
                    committer=committer,
                    progress=progress,
                    on_progress=display.update,
                    waiting=interruption.waiting,
                )
                record.ended = COMPLETED
            except Interrupted:
                record.ended = INTERRUPTED
    return record.ended


def _new_run_id() -> str:
    """Sortable by time, unique without asking anybody: ``20260102T030405Z-1a2b3c4d``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


if __name__ == "__main__":
    from jobs.cli import main

    main(["index", *sys.argv[1:]])
