"""One night: the sources compared with the dataset both ways, and a verdict for the operator."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain

from rich.console import Console

from flexivideo.errors import LeaseHeld
from jobs.display import choose_display, duration
from jobs.index_run import IndexRun
from jobs.listed_run import listing_preview
from jobs.nightly import AlarmSettings
from jobs.run_preview import counted, printable
from pipeline.outcomes import Status
from pipeline.progress import SECONDS_PER_HOUR, Snapshot
from pipeline.records import VideoRef
from pipeline.resume import Resume, windows
from pipeline.runs import COMPLETED
from pipeline.settings import IndexSettings
from pipeline.source_presence import Presence, SeenVideos, note_presence
from pipeline.sources import Listing
from pipeline.store import open_store

__all__ = ["NightReport", "run_night"]

EXIT_UNFINISHED, EXIT_ALARM = 1, 3

BAD = (Status.FAILED, Status.PARTIAL, Status.QUARANTINED)


@dataclass(frozen=True, kw_only=True)
class NightReport:
    """How a night went.

    Attributes:
        ended: "completed" or "interrupted".
        snapshot: the last counts.
        alarms: sentences for a person; none where nobody is needed.
    """

    ended: str
    snapshot: Snapshot
    alarms: Sequence[str]

    @property
    def exit_code(self) -> int:
        """0 if nobody is needed."""
        if self.ended != COMPLETED:
            return EXIT_UNFINISHED
        return EXIT_ALARM if self.alarms else 0

    def sentence(self) -> str:
        """The night in one line."""
        now = self.snapshot
        parts = [f"{counted(now.n_listed, 'video')} listed", f"{now.n_already_done} already done"]
        parts += [f"{number} {status}" for status, number in sorted(now.by_status.items())]
        if now.n_renamed:
            parts.append(f"of these {now.n_renamed} renamed")
        parts += [f"{number} {kind}" for kind, number in sorted(now.by_error_kind.items())]
        parts += [f"{now.n_gone} gone", f"{now.n_returned} returned"]
        if now.n_unusable:
            parts.append(f"{counted(now.n_unusable, 'line')} of manifests unusable")
        parts.append(
            f"{now.video_s / SECONDS_PER_HOUR:.2f} hours of video in {duration(now.elapsed_s)}"
        )
        verdict = "; ".join(self.alarms) or "nobody is needed"
        if self.ended != COMPLETED:
            verdict = "the same command goes on"
        return f"{self.ended}: {', '.join(parts)}; {verdict}"


def run_night(
    sources: Sequence[str],
    *,
    manifests: Sequence[str] = (),
    out: str,
    since: datetime | None,
    settings: IndexSettings,
    alarms: AlarmSettings,
    reuse_renamed: bool,
    as_json: bool,
    console: Console,
) -> int:
    """Index what is undone, note what is gone or returned, print the verdict; the exit code.

    Raises:
        FlexiVideoError: as ``jobs.listed_run.run_index``, but for a root that another run holds.
    """
    display = choose_display(as_json=as_json, console=console)
    # An intake that has nothing tonight is no mistake.
    listing = Listing(sources, settings.store, manifests=manifests, may_be_empty=True)
    seen = SeenVideos()
    run = IndexRun(open_store(out, settings.root_store), settings, display)
    resume = Resume(run.store, run.plan.identity, reuse_renamed=reuse_renamed)
    to_do = windows(run.heeding(_recent(seen.of(listing), since)), resume, run.progress.compared)
    first = next(to_do, None)
    preview = listing_preview(run, listing)
    display.plan(preview)
    try:
        if first:
            with run.holding() as (session, record):
                resume.refresh()
                record.plan = preview.to_json()
                everything = chain([first], to_do)
                record.ended = ended = run.index(session, everything, undone=resume.undone)
                run.progress.manifests_read(listing.n_unusable)
                presence, doubts = _compared(run, listing, seen, alarms)
                note_presence(session, presence)
        else:
            ended, (presence, doubts) = COMPLETED, _compared(run, listing, seen, alarms)
            if presence.gone or presence.returned:
                with run.holding() as (session, record):
                    note_presence(session, presence)
                    record.ended = COMPLETED
    except LeaseHeld as held:  # whose night it is; what it leaves is for the next
        _say(console, f"left to the run that is at work: {held}", as_json, exit_code=0)
        return 0
    run.progress.manifests_read(listing.n_unusable)
    now = run.progress.snapshot()
    report = NightReport(ended=ended, snapshot=now, alarms=[*doubts, *_failures(now, alarms)])
    if as_json:
        display.summary(now, ended, run.store.root)
    _say(console, report.sentence(), as_json, exit_code=report.exit_code)
    return report.exit_code


def _say(console: Console, sentence: str, as_json: bool, *, exit_code: int) -> None:
    if as_json:
        night = {"event": "night", "sentence": sentence, "exit_code": exit_code}
        console.out(json.dumps(night), highlight=False)
    else:
        console.print(sentence, soft_wrap=True, markup=False, highlight=False)


def _recent(refs: Iterable[VideoRef], since: datetime | None) -> Iterator[VideoRef]:
    since_s = 0.0 if since is None else _utc(since).timestamp()
    return (ref for ref in refs if ref.modified_at_s is None or ref.modified_at_s >= since_s)


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _compared(
    run: IndexRun, listing: Listing, seen: SeenVideos, alarms: AlarmSettings
) -> tuple[Presence, list[str]]:
    """What is to be noted of the known videos, and why nothing is where that is in doubt."""
    if not listing.ended:  # the night was interrupted
        return Presence(), []
    presence, doubts = seen.presence(run.store, listing.folders, listing.linked), []
    if listing.unreadable and presence.gone:
        doubts.append(
            f"no video was noted as gone, since {counted(len(listing.unreadable), 'folder')} could "
            f"not be read, the first {printable(listing.unreadable[0])}"
        )
    for folder, (n_present, n_gone) in presence.by_folder.items():
        if n_gone >= alarms.min_videos and n_gone > alarms.max_gone * n_present:
            doubts.append(
                f"{n_gone} of {n_present} videos of {printable(folder)} are not there any more "
                f"(max_gone {alarms.max_gone:g}): none was noted as gone; is the source whole?"
            )
    if doubts:
        presence = replace(presence, gone=())
    run.progress.sources_compared(len(presence.gone), len(presence.returned))
    return presence, doubts


def _failures(now: Snapshot, alarms: AlarmSettings) -> Iterator[str]:
    """Sentences about too many bad ends."""
    for what, statuses, share in (
        ("failed", BAD, alarms.max_failed),
        ("unavailable", (Status.UNAVAILABLE,), alarms.max_unavailable),
    ):
        n_bad = sum(now.by_status.get(status, 0) for status in statuses)
        # A store that gives nothing at all is no matter of a few bad videos.
        is_outage = what == "unavailable" and n_bad == now.n_ended > 0
        if is_outage or (n_bad >= alarms.min_videos and n_bad > share * now.n_ended):
            yield f"{n_bad} of {now.n_ended} videos {what} (max_{what} {share:g})"
