"""``flexivideo index --plan``: what a run would bring and take, by a look at a sample of it.

Nothing is written and no cluster is started: headers and stretches are read by children of this
process, and the model, where it is measured, runs in it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from jobs.display import Display
from jobs.index_run import IndexRun
from jobs.listed_run import listing_preview
from jobs.run_preview import RunPreview, counted
from pipeline.forecast import Forecast
from pipeline.forecasting import make_forecast
from pipeline.listing_sample import ListingSample
from pipeline.model_cost import is_measured, measured_cost, stated_cost
from pipeline.records import DECODED_SCHEMA, PIXEL_FIELDS
from pipeline.resume import Resume, windows
from pipeline.run_plan import RunPlan
from pipeline.settings import IndexSettings
from pipeline.sources import Listing
from pipeline.store import open_store
from pipeline.survey import Stretch, Survey, places

__all__ = ["plan_index"]

# More would only wait for the decoders of the others, or for the store.
MOST_CHILDREN = 4

# Clips that the model is measured with, one a stretch.
MODEL_CLIPS = 16

Note = Callable[[str], None]


def plan_index(
    sources: Sequence[str],
    *,
    manifests: Sequence[str] = (),
    out: str,
    settings: IndexSettings,
    tflops: float,
    display: Display,
    watcher: Console,
) -> RunPreview:
    """List all, look at a sample of what is to be done, say what to expect.

    Args:
        sources: as of ``run_index``; so are manifests, out and settings.
        manifests: see there.
        out: see there.
        settings: see there.
        tflops: what a GPU sustains, 1e12 operations a second, where the model is not measured.
        display: of the run.
        watcher: where it is shown how far this is, if it is a terminal.

    Raises:
        FlexiVideoError: as ``run_index``, but for what a root is held for.
    """
    listing = Listing(sources, settings.store, manifests=manifests)
    run = IndexRun(open_store(out, settings.root_store), settings, display)
    resume, sample = Resume(run.store, run.plan.identity), ListingSample()
    with watcher.status("listing ...") as status:
        for window in windows(listing, resume, run.progress.compared):
            sample.add(window)
            status.update(f"{counted(sample.n_videos, 'video')} to do so far ...")
        expected = None
        if sample.n_videos:
            expected = _looked_at(sample, run.plan, settings, tflops, status.update)
    return replace(listing_preview(run, listing), forecast=expected)


def _looked_at(
    sample: ListingSample, plan: RunPlan, settings: IndexSettings, tflops: float, note: Note
) -> Forecast:
    videos = sample.videos()
    n_children = min(MOST_CHILDREN, len(os.sched_getaffinity(0)))
    with Survey(plan.decode, n_children=n_children) as survey:
        note(f"reading {counted(len(videos), 'header')} ...")
        headers = survey.headers(videos)
        chosen = places(headers)
        every, stretches, for_model = max(1, len(chosen) // MODEL_CLIPS), list[Stretch](), []
        for stretch in survey.stretches(chosen):
            if len(stretches) % every == 0:
                for_model.append(stretch.clips.slice(0, 1))
            pixels = [field.name for field in PIXEL_FIELDS]
            stretches.append(replace(stretch, clips=stretch.clips.drop_columns(pixels)))
            note(f"watched {len(stretches)} of {counted(len(chosen), 'stretch', 'stretches')} ...")
    clips = pa.concat_tables([DECODED_SCHEMA.empty_table(), *for_model])
    disable_progress_bar()  # of loading weights
    note("asking the model ...")
    is_here = is_measured(plan.caption) and clips.num_rows
    return make_forecast(
        sample,
        headers,
        stretches,
        plan.decode,
        measured_cost(plan.caption, clips) if is_here else stated_cost(plan.caption, tflops),
        vector_number_bytes=np.dtype(settings.commit.embedding_dtype).itemsize,
    )
