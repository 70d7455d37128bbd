"""How a run shows itself: a live view on a terminal, plain lines elsewhere, JSON for machines.

All three get the same events in the same order: one plan, many snapshots, one summary.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.forecast_table import forecast_table
from jobs.run_preview import RunPreview, counted
from pipeline.progress import SECONDS_PER_HOUR, Snapshot
from pipeline.runs import COMPLETED

__all__ = [
    "Display",
    "JsonDisplay",
    "LiveDisplay",
    "PlainDisplay",
    "choose_display",
    "duration",
]

# Plain lines come this far apart, so that the log of a night's job stays readable.
PLAIN_INTERVAL_S = 10.0


class Display(Protocol):
    """What a run tells its display."""

    def plan(self, preview: RunPreview) -> None:
        """The run is about to start."""

    def update(self, snapshot: Snapshot) -> None:
        """Rows have come."""

    def notice(self, sentence: str) -> None:
        """Something that a person wants to know, such as what a stage waits for."""

    def close(self) -> None:
        """No more updates, however the run ended."""

    def summary(self, snapshot: Snapshot, ended: str, out: str) -> None:
        """The run is over; ``ended`` says how."""


def choose_display(*, as_json: bool, console: Console | None = None, live: bool = True) -> Display:
    """JSON where asked for, live on a terminal if a run is to come, plain lines elsewhere."""
    console = console or Console()
    if as_json:
        return JsonDisplay(console)
    return LiveDisplay(console) if live and console.is_terminal else PlainDisplay(console)


class JsonDisplay:
    """One JSON object a line: a "plan", then a "summary"; a "notice" where something waits."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def plan(self, preview: RunPreview) -> None:
        """See :class:`Display`."""
        self._print(event="plan", **preview.to_json())

    def update(self, snapshot: Snapshot) -> None:
        """A machine reads the summary."""

    def notice(self, sentence: str) -> None:
        """See :class:`Display`."""
        self._print(event="notice", sentence=sentence)

    def close(self) -> None:
        """Nothing is open."""

    def summary(self, snapshot: Snapshot, ended: str, out: str) -> None:
        """See :class:`Display`."""
        self._print(event="summary", ended=ended, out=out, **snapshot.to_json())

    def _print(self, **event: object) -> None:
        self._console.out(json.dumps(event, ensure_ascii=True), highlight=False)


class PlainDisplay:
    """A line now and then, the first when the first rows have come."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._next_s = clock()

    def plan(self, preview: RunPreview) -> None:
        """See :class:`Display`."""
        _print_plan(self._console, preview)

    def update(self, snapshot: Snapshot) -> None:
        """A line, unless the last one is too fresh."""
        if self._clock() >= self._next_s:
            self._next_s = self._clock() + PLAIN_INTERVAL_S
            self._console.print(_progress_line(snapshot), soft_wrap=True, highlight=False)

    def notice(self, sentence: str) -> None:
        """See :class:`Display`."""
        _print_notice(self._console, sentence)

    def close(self) -> None:
        """Nothing is open."""

    def summary(self, snapshot: Snapshot, ended: str, out: str) -> None:
        """See :class:`Display`."""
        _print_summary(self._console, snapshot, ended, out)


class LiveDisplay:
    """A bar and a small table that are redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def plan(self, preview: RunPreview) -> None:
        """See :class:`Display`."""
        _print_plan(self._console, preview)
        if preview.n_done < preview.n_listed:
            waiting = Text("starting the cluster's workers and the model ...", style="dim")
            self._live = Live(waiting, console=self._console, transient=True)
            self._live.start()

    def update(self, snapshot: Snapshot) -> None:
        """See :class:`Display`."""
        if self._live:
            bar = ProgressBar(total=max(snapshot.n_to_do, 1), completed=snapshot.n_ended, width=60)
            self._live.update(Group(bar, Text(_progress_line(snapshot))))

    def notice(self, sentence: str) -> None:
        """See :class:`Display`; it stays above the live view."""
        _print_notice(self._console, sentence)

    def close(self) -> None:
        """Take the live view away."""
        if self._live:
            self._live.stop()
            self._live = None

    def summary(self, snapshot: Snapshot, ended: str, out: str) -> None:
        """See :class:`Display`."""
        _print_summary(self._console, snapshot, ended, out)


def duration(seconds: float | None) -> str:
    """``1:02:03`` from an hour on, ``2:03`` below, ``?`` for None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _print_plan(console: Console, preview: RunPreview) -> None:
    console.print(
        f"{escape(preview.sentence())}\nmodel: {escape(preview.model)}",
        soft_wrap=not console.is_terminal,
    )
    if preview.forecast:
        console.print(forecast_table(preview.forecast))


def _progress_line(now: Snapshot) -> str:
    queued = ", ".join(f"{stage} {number}" for stage, number in now.queued.items()) or "none"
    return (
        f"{now.n_ended}/{now.n_to_do} videos, {now.video_s / SECONDS_PER_HOUR:.2f} h of video, "
        f"{now.n_clips_captioned} clips, {now.tokens_per_s:,.0f} tokens/s, queued: {queued}, "
        f"{duration(now.remaining_s)} left"
    )


def _print_notice(console: Console, sentence: str) -> None:
    console.print(sentence, soft_wrap=True, markup=False, highlight=False)


def _print_summary(console: Console, now: Snapshot, ended: str, out: str) -> None:
    if now.n_to_do:  # else the plan has said it all
        console.print(_summary(now, ended, out))


def _summary(now: Snapshot, ended: str, out: str) -> Table:
    title = f"Run {ended}" if ended == COMPLETED else f"Run {ended}; the same command goes on"
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    table.add_row("videos", _counts(now.by_status) or "none")
    if now.by_error_kind:
        table.add_row("errors", _counts(now.by_error_kind))
    table.add_row("already done", str(now.n_already_done))
    if now.n_unusable:
        table.add_row("unusable", f"{counted(now.n_unusable, 'line')} of manifests")
    table.add_row("video", f"{now.video_s / SECONDS_PER_HOUR:.3f} hours")
    table.add_row("scenes, clips", f"{now.n_scenes:,} scenes, {now.n_clips:,} clips")
    table.add_row("tokens", f"{now.n_visual_tokens:,} visual, {now.n_caption_tokens:,} of captions")
    table.add_row("wall time", f"{now.elapsed_s:.1f} s, {now.real_time_factor:.1f} x real time")
    table.add_row(
        "busy", ", ".join(f"{stage} {share:.0%}" for stage, share in now.busy_share.items())
    )
    table.add_row("output", escape(out))
    return table


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
