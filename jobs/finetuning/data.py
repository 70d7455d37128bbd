"""Where examples come from: records of files; anything else with the same three methods."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np

from flexivideo.errors import SettingsError
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.training_batches import TrainingExample, make_example, step_examples
from jobs.finetuning.settings import FinetuneSettings
from pipeline.identity import digest
from pipeline.indexed_scenes import IndexedScenes
from pipeline.store import open_store
from pipeline.training_media import MediaUnusable, TrainingMedia
from pipeline.training_records import LeftOut, TrainingRecord, read_records

__all__ = ["RecordExamples", "TrainingExamples", "read_all"]


class TrainingExamples(Protocol):
    """A source of examples; travels to the loaders before it is opened there."""

    @property
    def digest(self) -> str:
        """Tells one source from another: a run goes on with the same one only."""

    def __len__(self) -> int:
        """How many there are."""

    def of_step(self, step: int, n_step: int, seed: int) -> Sequence[int]:
        """Numbers of the examples that a step sees: the same whoever asks."""

    def open(self, processor: FlexiVideoProcessor, context_tokens: int) -> None:
        """Get ready to load, in the process that will."""

    def load(self, number: int) -> TrainingExample | LeftOut:
        """An example, or why there is none."""


class RecordExamples:
    """Examples of records; their media are decoded when they are loaded."""

    def __init__(
        self, records: Sequence[TrainingRecord], settings: FinetuneSettings, *, prompt: str
    ) -> None:
        self._records, self._settings, self._prompt = records, settings, prompt

    @property
    def digest(self) -> str:
        """See :class:`TrainingExamples`."""
        return digest(self._prompt, *(repr(record) for record in self._records))

    def __len__(self) -> int:
        return len(self._records)

    def of_step(self, step: int, n_step: int, seed: int) -> Sequence[int]:
        """See :class:`TrainingExamples`."""
        chosen: np.ndarray = step_examples(step, n_examples=len(self), n_step=n_step, seed=seed)
        return [int(number) for number in chosen]

    def open(self, processor: FlexiVideoProcessor, context_tokens: int) -> None:
        """See :class:`TrainingExamples`."""
        self._processor, self._context_tokens = processor, context_tokens
        data, store = self._settings.data, self._settings.store
        self._media = TrainingMedia(
            processor.spec,
            segmentation=self._settings.segmentation,
            decode=self._settings.decode,
            max_clip_tokens=data.max_clip_tokens,
            indexed=(
                IndexedScenes(open_store(data.scenes_from, store)) if data.scenes_from else None
            ),
        )

    def load(self, number: int) -> TrainingExample | LeftOut:
        """See :class:`TrainingExamples`."""
        record = self._records[number]
        turns = [(turn.question or self._prompt, turn.answer) for turn in record.turns]
        try:
            example = make_example(self._processor, self._media.clip(record), turns)
        except MediaUnusable as error:
            return LeftOut(record_id=record.record_id, reason=str(error))
        except Exception as error:  # whatever one record makes a tokenizer say costs that record
            reason = f"{type(error).__name__}: {error}"
            return LeftOut(record_id=record.record_id, reason=reason)
        if example.n_tokens > self._context_tokens:
            return LeftOut(
                record_id=record.record_id,
                reason=f"the conversation takes {example.n_tokens} tokens; expected at most the "
                f"model's {self._context_tokens}",
            )
        return example


def read_all(
    files: Sequence[Path], media_root: Path | None
) -> tuple[list[TrainingRecord], list[LeftOut]]:
    """All records of the files, and what was left out of them.

    Raises:
        SettingsError: if a file cannot be read, or all files together hold no record.
    """
    records: list[TrainingRecord] = []
    left_out: list[LeftOut] = []
    for path in files:
        for record in read_records(path, media_root or path.parent):
            if isinstance(record, LeftOut):
                left_out.append(record)
            else:
                records.append(record)
    if files and not records:
        first = f", the first because: {asdict(left_out[0])}" if left_out else ""
        raise SettingsError(
            f"{', '.join(map(str, files))} hold no usable record; {len(left_out)} were left "
            f"out{first}"
        )
    return records, left_out
