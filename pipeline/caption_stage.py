"""The model stage: decoded clip rows in, the same rows captioned and embedded out, pixels dropped.

A :class:`CaptionStage` is what a model actor holds: it loads the model once and is called with
tables of :data:`pipeline.records.DECODED_SCHEMA`, whose rows may come from many videos. How clips
share a forward pass is the engine's matter (``flexivideo.captioning``); rows of kind "video" pass
through as they are.
"""

import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from flexivideo.captioning import CaptionEngine, CaptionResult
from pipeline.clip_inputs import clip_inputs
from pipeline.records import CAPTION_FIELDS, CAPTIONED_SCHEMA, PIXEL_FIELDS
from pipeline.settings import CaptionSettings

__all__ = ["CaptionPlan", "CaptionStage"]


@dataclass(frozen=True, kw_only=True)
class CaptionPlan:
    """What a model actor needs to know.

    Attributes:
        settings: the model and its batches.
        prompt: what the model is asked, resolved.
        max_pixels: most pixels of a frame as the model sees it; None: the checkpoint's.
    """

    settings: CaptionSettings
    prompt: str
    max_pixels: int | None


class CaptionStage:
    """Captions and embeds the clips of a table of rows."""

    def __init__(self, plan: CaptionPlan, threads: int) -> None:
        """Load the model.

        Args:
            plan: which, and what it is asked.
            threads: CPU threads for torch, the actor's share of the machine.
        """
        torch.set_num_threads(threads)
        self._plan = plan
        self._engine = CaptionEngine.from_pretrained(
            plan.settings.model,
            dtype=plan.settings.dtype,
            attention=plan.settings.attention,
            temporal_resample=plan.settings.temporal_resample,
            max_pixels=plan.max_pixels,
        )

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Caption rows of ``DECODED_SCHEMA``; the answer has ``CAPTIONED_SCHEMA``, same order."""
        started = time.perf_counter()
        is_clip = np.asarray(rows["kind"]) == "clip"
        clips = clip_inputs(rows.filter(pa.array(is_clip)))
        results = self._engine.caption(
            clips,
            prompt=self._plan.prompt,
            max_new_tokens=self._plan.settings.max_new_tokens,
            max_batch_tokens=self._plan.settings.batch_tokens,
        )
        busy_s = (time.perf_counter() - started) / max(len(results), 1)
        answers = iter(results)
        captions = [
            _caption_row(next(answers), busy_s) if clip else _NO_CAPTION for clip in is_clip
        ]
        return _replace_pixels(rows, captions)


_NO_CAPTION: dict[str, object] = {field.name: None for field in CAPTION_FIELDS} | {
    "caption_busy_s": 0.0
}


def _caption_row(result: CaptionResult, busy_s: float) -> dict[str, object]:
    return {
        "caption": result.caption,
        "caption_status": result.status,
        "caption_error": result.error_message,
        "n_caption_tokens": result.n_caption_tokens,
        "embedding": result.embedding,
        "caption_busy_s": busy_s,
    }


def _replace_pixels(rows: pa.Table, captions: list[dict[str, object]]) -> pa.Table:
    kept = rows.drop_columns([field.name for field in PIXEL_FIELDS])
    columns = {name: kept[name] for name in kept.column_names}
    for field in CAPTION_FIELDS:
        columns[field.name] = pa.array([row[field.name] for row in captions], type=field.type)
    return pa.table(columns).select(CAPTIONED_SCHEMA.names).cast(CAPTIONED_SCHEMA)
