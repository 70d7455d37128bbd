"""What each training worker does: the loop over steps, top to bottom.

    share of the step -> vectors of all clips and captions (only with a contrast) -> micro-batches
    forward and backward -> one exchange of gradients -> optimizer step -> metrics, checkpoint

What happens within a step is in ``jobs.finetuning.stepper``.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.utils import gather_object, set_seed
from transformers.utils.logging import disable_progress_bar

from flexivideo.checkpoints import load_processor
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from jobs.finetuning.checkpoint import (
    newest_checkpoint,
    restore_optimizers,
    save_checkpoint,
    save_model,
)
from jobs.finetuning.data import TrainingExamples
from jobs.finetuning.loader import Share, StepShares, load_shares
from jobs.finetuning.run_log import RunLog, read_metrics
from jobs.finetuning.settings import FinetuneSettings
from jobs.finetuning.stepper import Stepper
from jobs.finetuning.usable_records import UsableRecords

__all__ = ["CHECKPOINTS", "FINISHED", "TrainingTask", "train"]

CHECKPOINTS, FINISHED = "checkpoints", "model"


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """What the workers are told.

    Attributes:
        settings: of the run.
        out: folder of the run, seen by all workers.
        examples: what is learned from.
        eval_examples: what is evaluated on; may be empty.
        n_steps: of the whole run.
    """

    settings: FinetuneSettings
    out: Path
    examples: TrainingExamples
    eval_examples: TrainingExamples | None
    n_steps: int


def train(task: TrainingTask) -> None:
    """Train from the newest checkpoint, or from the beginning, to the end."""
    settings, run = task.settings, task.settings.run
    if run.threads:
        torch.set_num_threads(run.threads)
    set_seed(settings.optimization.seed)
    disable_progress_bar()  # of every checkpoint written
    begun = newest_checkpoint(task.out / CHECKPOINTS)
    start, first_step = begun if begun else (settings.model, 0)
    processor = load_processor(str(start) if start else None, max_pixels=settings.data.max_pixels)
    _settle(processor, settings)
    worker = _Worker(task, processor, str(start) if start else None)
    if begun:
        restore_optimizers(begun[0], worker.stepper.model, worker.stepper.optimizers)
    worker.run(first_step)


def _settle(processor: FlexiVideoProcessor, settings: FinetuneSettings) -> None:
    """Let the processor say what the run trains with; the result is saved with it."""
    asked = settings.segmentation
    if asked.tau is not None:
        processor.tau = asked.tau
    if asked.sample_fps is not None:
        processor.sample_fps = asked.sample_fps
    if settings.data.prompt is not None:
        processor.caption_prompt = settings.data.prompt


class _Worker:
    """One of the workers, with its part of the model."""

    def __init__(
        self, task: TrainingTask, processor: FlexiVideoProcessor, start: str | None
    ) -> None:
        self._task, self._processor = task, processor
        self.stepper = Stepper(task.settings, processor, start)
        self._eval_shares: Iterable[Share] | None = None

    def run(self, first_step: int) -> None:
        """Steps from ``first_step`` to the last, then the finished model."""
        task, run, stepper = self._task, self._task.settings.run, self.stepper
        accelerator = stepper.accelerator
        have_learned = any(
            "loss" in line for line in read_metrics(task.out) if line["step"] < first_step
        )
        usable = UsableRecords(len(task.examples), are_known=have_learned)
        accelerator.wait_for_everyone()  # all have read what one now writes anew
        log = RunLog(task.out, first_step=first_step) if accelerator.is_main_process else None
        since = time.monotonic()
        for step, share in enumerate(self._shares(first_step), first_step):
            metrics = stepper.step(step, share, n_steps=task.n_steps)
            done, last = step + 1, step + 1 == task.n_steps
            left_out = gather_object(list(share.left_out))
            if task.eval_examples and (last or done % run.eval_steps == 0):
                shares = self._shares_to_evaluate(task.eval_examples)
                evaluated, unusable = stepper.evaluate(shares)
                metrics |= evaluated
                left_out += gather_object(unusable)
            metrics["step_s"] = time.monotonic() - since
            since = time.monotonic()
            if log is not None:
                log.leave_out(left_out)
                log.write(step, metrics)
            usable.see(left_out, has_learned="loss" in metrics, is_last=last)
            if last or done % run.save_steps == 0:
                save_checkpoint(
                    task.out / CHECKPOINTS,
                    done,
                    accelerator=accelerator,
                    model=stepper.model,
                    processor=self._processor,
                    optimizers=stepper.optimizers,
                    keep=run.keep_checkpoints,
                )
        save_model(
            task.out / FINISHED,
            accelerator=accelerator,
            model=stepper.model,
            processor=self._processor,
            dtype=getattr(torch, run.dtype),
        )
        if log is not None:
            log.close()

    def _shares(self, first_step: int) -> Iterable[Share]:
        optimization = self._task.settings.optimization
        n_step, seed = optimization.global_batch, optimization.seed
        examples = self._task.examples
        return self._load(
            examples,
            [examples.of_step(s, n_step, seed) for s in range(first_step, self._task.n_steps)],
        )

    def _load(self, examples: TrainingExamples, steps: Sequence[Sequence[int]]) -> Iterable[Share]:
        accelerator = self.stepper.accelerator
        index, stride = accelerator.process_index, accelerator.num_processes
        return load_shares(
            StepShares(
                examples=examples,
                processor=self._processor,
                context_tokens=self.stepper.model.config.text_config.max_position_embeddings,
                numbers=tuple(tuple(numbers[index::stride]) for numbers in steps),
                batch_tokens=self._task.settings.run.batch_tokens,
                with_vectors=self.stepper.with_vectors,
            ),
            loaders=self._task.settings.run.loaders,
        )

    def _shares_to_evaluate(self, examples: TrainingExamples) -> Iterable[Share]:
        n_step = self._task.settings.optimization.global_batch
        if self._eval_shares is None:  # its processes stay for the next time
            starts = range(0, len(examples), n_step)
            numbers = [range(i, min(i + n_step, len(examples))) for i in starts]
            self._eval_shares = self._load(examples, numbers)
        return self._eval_shares
