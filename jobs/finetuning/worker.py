"""What each training worker does: the loop over steps, top to bottom.

    share of the step -> vectors of all clips and captions (only with a contrast) -> micro-batches
    forward and backward -> one exchange of gradients -> optimizer step -> metrics, checkpoint

A step's loss and gradient are sums over the global batch divided by its number of learned tokens,
so they do not depend on how many workers share it or how it is cut into micro-batches.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import FullyShardedDataParallelPlugin, gather_object, set_seed
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from flexivideo.checkpoints import load_model, load_processor
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.training_objective import MicroOutputs, TrainingModel
from flexivideo.training_optimizers import learning_rate_scale, make_optimizers
from jobs.finetuning.checkpoint import (
    newest_checkpoint,
    restore_optimizers,
    save_checkpoint,
    save_model,
)
from jobs.finetuning.data import TrainingExamples
from jobs.finetuning.global_contrast import Pull, global_contrast
from jobs.finetuning.loader import (
    MicroBatch,
    Share,
    StepShares,
    empty_micro_batch,
    load_shares,
)
from jobs.finetuning.run_log import RunLog
from jobs.finetuning.settings import FinetuneSettings

__all__ = ["CHECKPOINTS", "FINISHED", "TrainingTask", "train"]

CHECKPOINTS, FINISHED = "checkpoints", "model"

# What FSDP shards one by one.
LAYERS = ["Qwen2_5_VLDecoderLayer", "Qwen2_5_VLVisionBlock"]


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
    worker = _Worker(task, processor, str(start) if start else None)
    if begun:
        restore_optimizers(begun[0], worker.model, worker.optimizers)
    worker.run(first_step)


class _Worker:
    """One of the workers, with its part of the model."""

    def __init__(
        self, task: TrainingTask, processor: FlexiVideoProcessor, start: str | None
    ) -> None:
        self._task, self._processor = task, processor
        self._optimization, run = task.settings.optimization, task.settings.run
        on_gpu = torch.cuda.is_available()
        self._accelerator = Accelerator(
            cpu=not on_gpu,
            mixed_precision="bf16" if on_gpu and torch.cuda.is_bf16_supported() else "no",
            fsdp_plugin=_sharding() if run.fsdp else None,
        )
        self.model: FlexiVideoForConditionalGeneration = load_model(start, device="cpu").train()
        self.model.config.sample_fps = processor.sample_fps
        if run.gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        inner = make_optimizers(
            self.model,
            name=self._optimization.optimizer,
            lr=self._optimization.lr,
            weight_decay=self._optimization.weight_decay,
        )
        self._trained, *prepared = self._accelerator.prepare(TrainingModel(self.model), *inner)
        self.optimizers = [optimizer.optimizer for optimizer in prepared]
        self._prepared = prepared
        self._peaks = [[g["lr"] for g in optimizer.param_groups] for optimizer in self.optimizers]
        self._with_vectors = self._optimization.contrast_weight > 0
        self._eval_shares: Iterable[Share] | None = None
        self._empty = empty_micro_batch(processor, with_vectors=self._with_vectors)

    def run(self, first_step: int) -> None:
        """Steps from ``first_step`` to the last, then the finished model."""
        task, run, accelerator = self._task, self._task.settings.run, self._accelerator
        log = RunLog(task.out, first_step=first_step) if accelerator.is_main_process else None
        since = time.monotonic()
        for step, share in enumerate(self._shares(first_step), first_step):
            metrics = self._step(step, share)
            done, last = step + 1, step + 1 == task.n_steps
            left_out = gather_object(list(share.left_out))
            if task.eval_examples and (last or done % run.eval_steps == 0):
                metrics |= self._evaluate(task.eval_examples)
            metrics["step_s"] = time.monotonic() - since
            since = time.monotonic()
            if log is not None:
                log.leave_out(left_out)
                log.write(step, metrics)
            if last or done % run.save_steps == 0:
                save_checkpoint(
                    task.out / CHECKPOINTS,
                    done,
                    accelerator=accelerator,
                    model=self.model,
                    processor=self._processor,
                    optimizers=self.optimizers,
                    keep=run.keep_checkpoints,
                )
        save_model(
            task.out / FINISHED,
            accelerator=accelerator,
            model=self.model,
            processor=self._processor,
            dtype=getattr(torch, run.dtype),
        )
        if log is not None:
            log.close()

    def _step(self, step: int, share: Share) -> dict[str, float]:
        """One optimizer step; what was measured of it."""
        optimization = self._optimization
        scale = learning_rate_scale(step, n_steps=self._task.n_steps, warm_up=optimization.warm_up)
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * scale
        n_clips, n_learned, n_visual, n_left_out = self._sums(
            share.n_clips, share.n_learned, share.n_visual, len(share.left_out)
        )
        metrics = {
            "loss": 0.0,
            "lr": optimization.lr * scale,
            "n_clips": n_clips,
            "n_learned_tokens": n_learned,
            "n_visual_tokens": n_visual,
            "n_left_out": n_left_out,
        }
        if not n_learned:
            return metrics  # nothing of this step could be used
        micro_batches = self._in_step(share)
        kept, contrast_loss, pulls = self._contrast(share, micro_batches)
        token_loss = 0.0
        for index, micro in enumerate(micro_batches):
            is_own = index < len(share.micro_batches)
            with self._exchange(index, micro_batches):
                outputs = self._forward(micro) if index or kept is None else kept
                token_loss += float(outputs.token_loss.detach()) * is_own
                pull = pulls[index] if is_own and pulls else None
                self._accelerator.backward(self._loss(outputs, is_own / n_learned, pull))
        norm = self._accelerator.clip_grad_norm_(
            self._trained.parameters(), optimization.max_grad_norm
        )
        for optimizer in self._prepared:
            optimizer.step()
            optimizer.zero_grad()
        (token_loss,) = self._sums(token_loss)
        metrics["loss"] = token_loss / n_learned
        metrics["grad_norm"] = float(norm)
        if self._with_vectors:
            metrics["contrast_loss"] = contrast_loss
        if torch.cuda.is_available():
            metrics["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
        return metrics

    def _loss(self, outputs: MicroOutputs, token_weight: float, pull: Pull | None) -> Tensor:
        """This micro-batch's part of the global loss; the exchange takes the workers' mean."""
        loss = outputs.token_loss * token_weight
        if pull is not None:
            loss = loss + pull.surrogate(outputs)
        elif outputs.clip_vectors is not None and outputs.text_vectors is not None:
            # All parameters take part in every pass, also where nothing is counted.
            loss = loss + 0.0 * (outputs.clip_vectors.sum() + outputs.text_vectors.sum())
        return loss * self._accelerator.num_processes

    def _contrast(
        self, share: Share, micro_batches: Sequence[MicroBatch]
    ) -> tuple[MicroOutputs | None, float, list[Pull]]:
        """The first micro-batch's outputs, which keep their graph; the contrast, and its pulls.

        So a share of one micro-batch is never passed twice.
        """
        if not self._with_vectors:
            return None, 0.0, []
        with self._exchange(0, micro_batches):
            outputs = [self._forward(micro_batches[0])]
        with torch.no_grad():
            outputs += [self._forward(micro) for micro in micro_batches[1:]]
        loss, pulls = global_contrast(
            self._accelerator,
            share.micro_batches,
            outputs[: len(share.micro_batches)],
            weight=self._optimization.contrast_weight,
        )
        return outputs[0], loss, pulls

    def _exchange(
        self, index: int, micro_batches: Sequence[MicroBatch]
    ) -> AbstractContextManager[object]:
        """Gradients are exchanged once a step, with its last micro-batch."""
        is_last = index + 1 == len(micro_batches)
        return nullcontext() if is_last else self._accelerator.no_sync(self._trained)

    def _forward(self, micro: MicroBatch) -> MicroOutputs:
        outputs: MicroOutputs = self._trained(
            *(self._on_device(part) for part in (micro.captions, micro.clip_prompts, micro.texts))
        )
        return outputs

    def _on_device(self, part: dict[str, Any] | None) -> dict[str, Any] | None:
        device = self._accelerator.device
        return part and {name: value.to(device) for name, value in part.items()}

    def _in_step(self, share: Share) -> list[MicroBatch]:
        """The share's passes, and empty ones, so that all workers make equally many."""
        most = max(gather_object([len(share.micro_batches)]))
        missing = most - len(share.micro_batches)
        return [*share.micro_batches, *[self._empty] * missing]

    def _shares(self, first_step: int) -> Iterable[Share]:
        n_step, seed = self._optimization.global_batch, self._optimization.seed
        examples = self._task.examples
        return self._load(
            examples,
            [examples.of_step(s, n_step, seed) for s in range(first_step, self._task.n_steps)],
        )

    def _load(self, examples: TrainingExamples, steps: Sequence[Sequence[int]]) -> Iterable[Share]:
        index, stride = self._accelerator.process_index, self._accelerator.num_processes
        return load_shares(
            StepShares(
                examples=examples,
                processor=self._processor,
                context_tokens=self.model.config.text_config.max_position_embeddings,
                numbers=tuple(tuple(numbers[index::stride]) for numbers in steps),
                batch_tokens=self._task.settings.run.batch_tokens,
                with_vectors=self._with_vectors,
            ),
            loaders=self._task.settings.run.loaders,
        )

    @torch.no_grad()
    def _evaluate(self, examples: TrainingExamples) -> dict[str, float]:
        """Mean loss of a token over all evaluation examples."""
        n_step = self._optimization.global_batch
        numbers = [
            range(i, min(i + n_step, len(examples))) for i in range(0, len(examples), n_step)
        ]
        loss = learned = 0.0
        if self._eval_shares is None:  # its processes stay for the next time
            self._eval_shares = self._load(examples, numbers)
        self._trained.eval()
        for share in self._eval_shares:
            for index, micro in enumerate(self._in_step(share)):
                counts = index < len(share.micro_batches)
                loss += float(self._forward(micro).token_loss) * counts
            learned += share.n_learned
        self._trained.train()
        loss, learned = self._sums(loss, learned)
        return {"eval_loss": loss / max(learned, 1), "n_eval_tokens": learned}

    def _sums(self, *values: float) -> tuple[float, ...]:
        """Sums over all workers."""
        own = torch.tensor(values, dtype=torch.float64, device=self._accelerator.device)
        return tuple(self._accelerator.reduce(own, reduction="sum").tolist())


def _sharding() -> FullyShardedDataParallelPlugin:
    return FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=LAYERS,
        reshard_after_forward=True,
    )
