"""The model stage: decoded clip rows in, the same rows captioned and embedded out, pixels dropped.

A :class:`CaptionStage` is what a model actor holds: it loads the model once and is called with
tables of :data:`pipeline.records.DECODED_SCHEMA`, whose rows may come from many videos. How clips
share a forward pass is the engine's matter (``flexivideo.captioning``); rows of kind "video" pass
through as they are, and a clip whose caption is kept already gets that one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from flexivideo.captioning import CaptionEngine, CaptionResult
from flexivideo.errors import SettingsError
from flexivideo.scene_patches import ClipInput
from flexivideo.visual_spec import checkpoint_folder
from pipeline.clip_inputs import clip_inputs
from pipeline.kept_captions import ATTEMPT_COLUMNS, KEY_COLUMNS, Kept, KeptCaptions
from pipeline.outcomes import CaptionStatus
from pipeline.records import CAPTION_FIELDS, CAPTIONED_SCHEMA, PIXEL_FIELDS
from pipeline.settings import CaptionSettings
from pipeline.worker_time import Stopwatch, WorkerTime

__all__ = ["CaptionPlan", "CaptionStage"]


@dataclass(frozen=True, kw_only=True)
class CaptionPlan:
    """What a model actor needs to know.

    Attributes:
        settings: the model and its batches.
        prompt: what the model is asked, resolved, of videos that have no prompt of their own.
        max_pixels: most pixels of a frame as the model sees it; None: the checkpoint's.
        kept: where captions of videos that are under way lie; None: nowhere.
        revision: commit of the model hub's repository that the run was planned with; None: a
            folder. The hub may have a newer one by the time an actor starts.
    """

    settings: CaptionSettings
    prompt: str
    max_pixels: int | None
    revision: str | None = None
    kept: Kept | None = None


class CaptionStage:
    """Captions and embeds the clips of a table of rows."""

    def __init__(self, plan: CaptionPlan, threads: int) -> None:
        """Load the model.

        Args:
            plan: which, and what it is asked.
            threads: CPU threads for torch, the actor's share of the machine.

        Raises:
            ModelError: if this machine does not have it, or it cannot be loaded.
        """
        torch.set_num_threads(threads)
        self._plan = plan
        self._kept = KeptCaptions(plan.kept) if plan.kept else None
        model = plan.settings.model
        self._engine = CaptionEngine.from_pretrained(
            model and str(checkpoint_folder(model, revision=plan.revision)),
            dtype=plan.settings.dtype,
            attention=plan.settings.attention,
            temporal_resample=plan.settings.temporal_resample,
            max_pixels=plan.max_pixels,
        )

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Caption rows of ``DECODED_SCHEMA``; the answer has ``CAPTIONED_SCHEMA``, same order."""
        watch = Stopwatch()
        captions = self._kept_captions(rows)
        new = [number for number, caption in enumerate(captions) if caption is None]
        clips = rows.take(pa.array(new, pa.int64()))
        results = self._captioned(clip_inputs(clips), clips["prompt"].to_pylist())
        spent, n_clips = watch.read(), max(len(results), 1)
        each = WorkerTime(busy_s=spent.busy_s / n_clips, cpu_s=spent.cpu_s / n_clips)
        for number, result in zip(new, results, strict=True):
            captions[number] = _caption_row(result, each)
        return _replace_pixels(rows, captions)

    def _kept_captions(self, rows: pa.Table) -> list[dict[str, Any] | None]:
        """What is known of each row: an outcome has no caption; None for a clip to be captioned."""
        return [
            self._kept_caption(rows, number) if kind == "clip" else _NO_CAPTION
            for number, kind in enumerate(rows["kind"].to_pylist())
        ]

    def _kept_caption(self, rows: pa.Table, number: int) -> dict[str, Any] | None:
        if self._kept is None:
            return None
        row = {name: rows[name][number].as_py() for name in ATTEMPT_COLUMNS}
        if not self._kept.knows(row):  # of most videos nothing is, and scenes are long
            return None
        kept = self._kept.of(row | {name: rows[name][number].as_py() for name in KEY_COLUMNS})
        return None if kept is None else kept | _NO_TIME

    def _captioned(
        self, clips: Sequence[ClipInput], prompts: Sequence[str | None]
    ) -> list[CaptionResult]:
        """The clips' results, in order; those that are asked the same share batches."""
        of_prompts: dict[str | None, list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            of_prompts[prompt].append(index)
        results = dict[int, CaptionResult]()
        for prompt, indices in of_prompts.items():
            answers = self._asked([clips[index] for index in indices], prompt)
            results |= zip(indices, answers, strict=True)
        return [results[index] for index in range(len(clips))]

    def _asked(self, clips: Sequence[ClipInput], prompt: str | None) -> Sequence[CaptionResult]:
        try:
            return self._engine.caption(
                clips,
                prompt=self._plan.prompt if prompt is None else prompt,
                max_new_tokens=self._plan.settings.max_new_tokens,
                max_batch_tokens=self._plan.settings.batch_tokens,
            )
        except SettingsError as error:
            if prompt is None:
                raise
            # One video's prompt that leaves no room for a clip is no matter of the others.
            return [_no_caption(str(error)) for _ in clips]


def _no_caption(why: str) -> CaptionResult:
    return CaptionResult(
        caption=None,
        status=CaptionStatus.ERROR,
        n_caption_tokens=0,
        n_visual_tokens=0,
        embedding=None,
        error_message=why,
    )


_NO_TIME = {"caption_busy_s": 0.0, "caption_cpu_s": 0.0}
_NO_CAPTION: dict[str, Any] = {field.name: None for field in CAPTION_FIELDS} | _NO_TIME


def _caption_row(result: CaptionResult, spent: WorkerTime) -> dict[str, Any]:
    return {
        "caption": result.caption,
        "caption_status": result.status,
        "caption_error": result.error_message,
        "n_caption_tokens": result.n_caption_tokens,
        "embedding": result.embedding,
        "caption_busy_s": spent.busy_s,
        "caption_cpu_s": spent.cpu_s,
    }


def _replace_pixels(rows: pa.Table, captions: list[Any]) -> pa.Table:
    kept = rows.drop_columns([field.name for field in PIXEL_FIELDS])
    columns = {name: kept[name] for name in kept.column_names}
    for field in CAPTION_FIELDS:
        columns[field.name] = pa.array([row[field.name] for row in captions], type=field.type)
    return pa.table(columns).select(CAPTIONED_SCHEMA.names).cast(CAPTIONED_SCHEMA)
