"""A run from its settings to its record: data read, workers started, watched and waited for.

How workers are started is in ``jobs.finetuning.attempts``, what they do in
``jobs.finetuning.worker``.
"""

import fcntl
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from flexivideo.checkpoints import check_checkpoint
from flexivideo.errors import SettingsError
from flexivideo.prompts import caption_prompt
from jobs.cluster import cluster
from jobs.finetuning.attempts import train_on_cluster
from jobs.finetuning.data import RecordExamples, TrainingExamples, read_all
from jobs.finetuning.run_log import begin_record, end_record, note_left_out
from jobs.finetuning.settings import FinetuneSettings
from jobs.finetuning.watch import watched
from jobs.finetuning.worker import TrainingTask
from pipeline.indexed_scenes import IndexedScenes
from pipeline.local_uri import on_a_disk
from pipeline.settings import SegmentationSettings
from pipeline.store import open_store

__all__ = ["run_finetune", "run_on_examples"]

COMPLETED, FAILED = "completed", "failed"

RAY, LOCK = "ray", ".lock"


def run_finetune(
    settings: FinetuneSettings, *, out: Path, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Fine-tune on files of records; going on where a run in ``out`` was stopped.

    Returns:
        The run's record, as it stands in ``run.json``.

    Raises:
        SettingsError: if a file or setting cannot be used, or ``out`` holds another run.
        ModelError: if the checkpoint cannot be used.
    """
    settings = _resolved(settings)
    data = settings.data
    if not data.data:
        raise SettingsError("no data was named; expected at least one file of records (--data)")
    if data.scenes_from:
        indexed = IndexedScenes(open_store(data.scenes_from, settings.store)).segmentation
        settings = replace(settings, segmentation=_same(indexed, settings.segmentation))
    prompt = data.prompt or caption_prompt(settings.model)
    records, left_out = read_all(data.data, data.media_root)
    eval_records, eval_left_out = read_all(data.eval_data, data.media_root)
    say(
        f"{len(records)} records, {len(eval_records)} to evaluate on; "
        f"records left out: {len(left_out) + len(eval_left_out)}"
    )
    examples = RecordExamples(records, settings, prompt=prompt)
    eval_examples = RecordExamples(eval_records, settings, prompt=prompt) if eval_records else None
    return run_on_examples(
        examples,
        eval_examples,
        settings,
        out=out,
        say=say,
        left_out=[*left_out, *eval_left_out],
    )


def run_on_examples(
    examples: TrainingExamples,
    eval_examples: TrainingExamples | None,
    settings: FinetuneSettings,
    *,
    out: Path,
    say: Callable[[str], None] = print,
    left_out: list[Any] | None = None,
) -> dict[str, Any]:
    """Fine-tune on any source of examples; see :func:`run_finetune`."""
    on_a_disk("out", out)
    out, settings = out.absolute(), _resolved(settings)
    with _alone(out):
        return _run(examples, eval_examples, settings, out, say, left_out or [])


def _run(
    examples: TrainingExamples,
    eval_examples: TrainingExamples | None,
    settings: FinetuneSettings,
    out: Path,
    say: Callable[[str], None],
    left_out: list[Any],
) -> dict[str, Any]:
    optimization = settings.optimization
    # Here, and not by each worker in turn.
    data = settings.data
    check_checkpoint(settings.model, prompt=data.prompt or "", max_pixels=data.max_pixels)
    n_steps = optimization.steps or math.ceil(
        optimization.epochs * len(examples) / optimization.global_batch
    )
    begin_record(
        out,
        settings,
        data={
            "n_records": len(examples),
            "n_steps": n_steps,
            "data_digest": examples.digest,
            "eval_digest": eval_examples.digest if eval_examples else None,
        },
    )
    note_left_out(out, left_out)
    task = TrainingTask(
        settings=settings,
        out=out,
        examples=examples,
        eval_examples=eval_examples,
        n_steps=n_steps,
    )
    try:
        with cluster() as resources, watched(out, n_steps=n_steps, say=say):
            train_on_cluster(task, resources, storage=out / RAY, say=say)
    except BaseException:
        end_record(out, FAILED)
        raise
    shutil.rmtree(out / RAY, ignore_errors=True)
    return end_record(out, COMPLETED)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a run's folder, as long as this process lives."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SettingsError(
            f"out is {str(out)!r}, and a file stands there or above; expected a folder, or a name "
            f"that is free: give another --out"
        ) from error
    with open(out / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingsError(
                f"another process trains in {out}; expected one at a time: wait until it ends, "
                f"or give another --out"
            ) from error
        yield


def _resolved(settings: FinetuneSettings) -> FinetuneSettings:
    """The settings with paths, and ways to a store, that mean the same in every worker."""
    data, model = settings.data, settings.model
    return replace(
        settings,
        model=os.path.abspath(model) if model and os.path.exists(model) else model,
        data=replace(
            data,
            data=tuple(path.absolute() for path in data.data),
            eval_data=tuple(path.absolute() for path in data.eval_data),
            media_root=data.media_root and data.media_root.absolute(),
            scenes_from=data.scenes_from and _absolute(data.scenes_from),
        ),
        store=settings.store.settled(),
    )


def _absolute(root: str) -> str:
    """A dataset's root; an address is one already."""
    return root if "://" in root else os.path.abspath(root)


def _same(indexed: SegmentationSettings, asked: SegmentationSettings) -> SegmentationSettings:
    """The dataset's segmentation, unless another one was asked for."""
    for default in fields(asked):
        value, stored = getattr(asked, default.name), getattr(indexed, default.name)
        if value not in (default.default, stored):
            raise SettingsError(
                f"{default.name} is {value}, and the scenes that scenes_from names were made with "
                f"{stored}; expected the same, or no {default.name}"
            )
    return indexed
