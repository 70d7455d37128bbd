"""What a listing shows, indexed: the run behind ``flexivideo index``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from jobs.display import Display
from jobs.index_run import IndexRun
from jobs.run_preview import RunPreview
from pipeline.forecast import Forecast
from pipeline.outcomes import Status
from pipeline.progress import Snapshot
from pipeline.resume import Resume, windows
from pipeline.runs import COMPLETED
from pipeline.settings import IndexSettings
from pipeline.sources import Listing
from pipeline.store import open_store

__all__ = ["RunReport", "listing_preview", "run_index"]

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
    sources: Sequence[str],
    *,
    manifests: Sequence[str] = (),
    out: str,
    settings: IndexSettings,
    display: Display,
    forecast: Forecast | None = None,
) -> RunReport:
    """List, say what is to be done, do it, say what was done.

    Args:
        sources: files, folders, globs, ``s3://`` objects and prefixes.
        manifests: files that name videos.
        out: the root.
        settings: of the run.
        display: who watches.
        forecast: what was expected, for the run's row.

    Raises:
        SettingsError: if a source, a setting or the root cannot be used.
        LeaseHeld: if another run holds the root.
        ModelError: if the model cannot be used.
        LeaseLost: if another run took the root meanwhile.
        WorkersFailed: if the cluster gives up.
    """
    listing = Listing(sources, settings.store, manifests=manifests)
    run = IndexRun(open_store(out, settings.root_store), settings, display)
    resume = Resume(run.store, run.plan.identity)
    to_do = windows(run.heeding(listing), resume, run.progress.compared)
    first = next(to_do, None)
    preview = replace(listing_preview(run, listing), forecast=forecast)
    display.plan(preview)
    run.progress.manifests_read(listing.n_unusable)
    ended = COMPLETED
    if first:
        with run.holding() as (session, record):
            resume.refresh()
            record.plan = preview.to_json()
            record.ended = ended = run.index(session, chain([first], to_do), undone=resume.undone)
            run.progress.manifests_read(listing.n_unusable)
    display.summary(run.progress.snapshot(), ended, run.store.root)
    return RunReport(ended=ended, snapshot=run.progress.snapshot())


def listing_preview(run: IndexRun, listing: Listing) -> RunPreview:
    """What a run over a listing is about to do, as far as it is listed."""
    so_far = run.progress.snapshot()
    return RunPreview(
        n_listed=so_far.n_listed,
        is_whole=listing.ended,
        n_done=so_far.n_already_done,
        left=dict(listing.left),
        unreadable=listing.unreadable,
        linked=listing.linked,
        n_unusable=listing.n_unusable,
        unusable=listing.unusable,
        out=run.store.root,
        model=run.model,
    )
