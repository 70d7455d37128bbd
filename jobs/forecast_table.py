"""A forecast as a table for a person."""

from collections.abc import Mapping
from math import floor, log10

from rich.filesize import decimal
from rich.table import Table

from jobs.run_preview import counted
from pipeline.estimates import Estimate
from pipeline.forecast import Forecast

__all__ = ["forecast_table"]

# Nineteen times in twenty the true number lies within so many standard errors.
ERRORS = 2

FIGURES, MEGA = 3, 1e6


def forecast_table(expected: Forecast) -> Table:
    """The figures, each with where it comes from."""
    table = Table(title="Plan", show_header=False, title_justify="left", caption_justify="left")
    table.add_column(style="bold")
    table.add_column()
    table.add_row("videos", f"{expected.n_videos:,} to do, {decimal(expected.n_bytes)}")
    if expected.will_fail:
        table.add_row("will fail", _each(expected.will_fail, n_digits=0))
    table.add_row("video", f"{_said(expected.video_hours)} hours")
    table.add_row("codecs", f"{_each(expected.codec_hours) or 'none'} (hours)")
    table.add_row("scenes", _said(expected.n_scenes, n_digits=0))
    table.add_row("clips", _said(expected.n_clips, n_digits=0))
    table.add_row("visual tokens", _said(expected.n_visual_tokens, n_digits=0))
    table.add_row("decode", f"{_said(expected.decode_cpu_hours)} CPU hours, measured here")
    table.add_row(
        "model",
        f"{_said(expected.model_hours)} {expected.model_on} hours, {expected.model_rate}; "
        f"{_said(expected.model_teraflops)} TFLOP",
    )
    table.add_row("output", _said(expected.output_bytes.times(1 / MEGA)) + " MB")
    table.add_row("requests", f"{expected.n_requests:,} for the bytes of the videos")
    table.caption = (
        f"± is {ERRORS} standard errors. Read for this: {counted(expected.n_headers, 'header')}, "
        f"{counted(expected.n_stretches, 'short stretch', 'short stretches')}, with "
        f"{counted(expected.plan_requests, 'request')} of {decimal(expected.plan_bytes)}"
    )
    return table


def _said(estimate: Estimate, n_digits: int | None = None) -> str:
    """With its error; by default to three figures of the value."""
    if n_digits is None:
        value = abs(estimate.value)
        n_digits = max(0, FIGURES - 1 - floor(log10(value))) if value else 0
    said = f"{estimate.value:,.{n_digits}f}"
    return f"{said} ± {ERRORS * estimate.error:,.{n_digits}f}" if estimate.error else said


def _each(estimates: Mapping[str, Estimate], n_digits: int | None = None) -> str:
    ordered = sorted(estimates.items(), key=lambda one: -one[1].value)
    return ", ".join(f"{_said(estimate, n_digits)} {name}" for name, estimate in ordered)
