"""A run on a root: what is compared, held, indexed and noted, whoever asked for it.

``flexivideo index``, ``nightly`` and ``retry`` differ in which videos they bring and in what they
do besides; this is what they have in common.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from flexivideo.plain_world.words import EMBEDDED_LIMITS
from jobs.cluster import cluster
from jobs.display import Display
from jobs.interruption import Interrupted, Interruption
from pipeline.assembly import Assembler
from pipeline.caption_keeper import CaptionKeeper
from pipeline.commit import Committer
from pipeline.compose import index_videos
from pipeline.index_session import IndexSession, open_for_index
from pipeline.pools import size_pools
from pipeline.progress import Progress
from pipeline.records import VideoRef
from pipeline.run_plan import plan_run
from pipeline.runs import COMPLETED, INTERRUPTED, RunRecord, note_prompts, note_settings, noting_run
from pipeline.settings import IndexSettings
from pipeline.store import Store

__all__ = ["IndexRun", "new_run_id"]


class IndexRun:
    """One run on one root.

    Attributes:
        store: the root.
        settings: what was asked for.
        plan: what the stages are given.
        progress: what has passed so far.
        display: who watches.
    """

    def __init__(self, store: Store, settings: IndexSettings, display: Display) -> None:
        """Settle the plan.

        Raises:
            SettingsError: if a setting cannot be used.
            ModelError: if the model cannot be used.
        """
        self.store, self.display = store, display
        self.settings = replace(settings, store=settings.store.settled())
        self.plan = plan_run(self.settings, root=store.root)
        self.progress = Progress()
        self._interruption = Interruption(within_s=settings.commit.stop_within_s)

    @property
    def model(self) -> str:
        """What captions, for a person."""
        return self.settings.caption.model or EMBEDDED_LIMITS

    def heeding(self, refs: Iterable[VideoRef]) -> Iterator[VideoRef]:
        """The references of a listing, until a signal comes.

        Raises:
            Interrupted: then; nobody has to wait for the end of a long listing.
        """
        for ref in refs:
            self._interruption.check()
            yield ref

    @contextmanager
    def holding(self) -> Iterator[tuple[IndexSession, RunRecord]]:
        """Hold the root, and leave a row about the run, however it ends.

        Raises:
            LeaseHeld: if another run holds it.
        """
        with (
            closing(self.display),
            self._interruption,
            open_for_index(
                self.store, run_id=new_run_id(), lease_s=self.settings.commit.lease_s
            ) as session,
            noting_run(session, settings=self.settings, progress=self.progress) as record,
        ):
            yield session, record

    def index(
        self,
        session: IndexSession,
        windows: Iterable[list[VideoRef]],
        *,
        undone: Callable[[list[VideoRef]], list[VideoRef]],
    ) -> str:
        """Index what the windows bring, one after the other; returns how it ended.

        Args:
            session: the right to commit.
            windows: the videos, as they are found.
            undone: which of a window are still to be done, now that nobody else commits.

        Raises:
            LeaseLost: if another run took the root meanwhile.
            WorkersFailed: if the cluster gives up.
        """
        note_settings(session, self.plan.identity)
        keeper = CaptionKeeper(
            session, self.plan.identity, every_s=self.settings.commit.keep_every_s
        )
        committer = Committer(
            session,
            identity=self.plan.identity,
            settings=self.settings.commit,
            sample_fps=self.plan.decode.segmentation.sample_fps,
            embedding_metadata=self.plan.embedding_metadata,
            on_commit=keeper.committed,
        )
        # The cluster is left last: a notice may be short, and what counts is the commit.
        with ExitStack() as joined, committer, Assembler() as assembler:
            try:
                resources = joined.enter_context(cluster())
                pools = size_pools(
                    self.settings.pools,
                    cpus=resources.cpus,
                    gpus=resources.gpus,
                    may_grow=resources.may_grow,
                )
                self.progress.started(pools.n_workers)
                for window in windows:
                    self._interruption.check()
                    left = undone(window)
                    self.progress.compared(0, len(window) - len(left))
                    note_prompts(session, self.plan.identity, left)
                    index_videos(
                        left,
                        plan=self.plan,
                        pools=pools,
                        assembler=assembler,
                        committer=committer,
                        keeper=keeper,
                        progress=self.progress,
                        silent_after_s=self.settings.pools.silent_after_s,
                        on_progress=self.display.update,
                        on_notice=self.display.notice,
                        heed=self._interruption.check,
                    )
            except Interrupted:
                keeper.keep_all(assembler)
                return INTERRUPTED
        return COMPLETED


def new_run_id() -> str:
    """Sortable by time, unique without asking anybody: ``20260102T030405Z-1a2b3c4d``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
