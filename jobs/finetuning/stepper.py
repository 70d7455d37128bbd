"""One optimizer step over a global batch: forward, backward, one exchange of gradients, update.

A step's loss and gradient are sums over the global batch divided by its number of learned tokens,
so they do not depend on how many workers share it or how it is cut into micro-batches.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import FullyShardedDataParallelPlugin, gather_object
from torch import Tensor

from flexivideo.checkpoints import load_model
from flexivideo.errors import TrainingError
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.training_objective import MicroOutputs, TrainingModel
from flexivideo.training_optimizers import learning_rate_scale, make_optimizers
from jobs.finetuning.global_contrast import Pull, global_contrast
from jobs.finetuning.loader import MicroBatch, Share, empty_micro_batch
from jobs.finetuning.settings import FinetuneSettings
from jobs.peak_memory import peak_bytes
from pipeline.training_records import LeftOut

__all__ = ["Stepper"]

# What FSDP shards one by one.
LAYERS = ["Qwen2_5_VLDecoderLayer", "Qwen2_5_VLVisionBlock"]


class Stepper:
    """The model and its optimizers in one of the workers; all workers call the same methods.

    Attributes:
        accelerator: joins the workers.
        model: this worker's part of it.
        optimizers: likewise.
        with_vectors: whether a contrast is taken.
    """

    def __init__(
        self, settings: FinetuneSettings, processor: FlexiVideoProcessor, start: str | None
    ) -> None:
        """Load the checkpoint ``start``; an optimizer's state is the caller's to restore."""
        self._optimization, run = settings.optimization, settings.run
        on_gpu = torch.cuda.is_available()
        self.accelerator = Accelerator(
            cpu=not on_gpu,
            mixed_precision="bf16" if on_gpu and torch.cuda.is_bf16_supported() else "no",
            fsdp_plugin=_sharding() if run.fsdp else None,
        )
        self.model: FlexiVideoForConditionalGeneration = load_model(start, device="cpu").train()
        # What it is trained with is what it will be used with.
        self.model.config.sample_fps = processor.sample_fps
        self.model.config.tau = processor.tau
        self.model.config.caption_prompt = processor.caption_prompt
        if run.gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        inner = make_optimizers(
            self.model,
            name=self._optimization.optimizer,
            lr=self._optimization.lr,
            weight_decay=self._optimization.weight_decay,
        )
        self._trained, *prepared = self.accelerator.prepare(TrainingModel(self.model), *inner)
        self.optimizers = [optimizer.optimizer for optimizer in prepared]
        self._prepared = prepared
        self._peaks = [[g["lr"] for g in optimizer.param_groups] for optimizer in self.optimizers]
        self.with_vectors = self._optimization.contrast_weight > 0
        self._empty = empty_micro_batch(processor, with_vectors=self.with_vectors)

    def step(self, step: int, share: Share, *, n_steps: int) -> dict[str, float]:
        """One optimizer step over every worker's share; what was measured of it.

        A step of which no record can be used has no loss, and moves nothing.

        Raises:
            TrainingError: if loss or gradient are not finite; no weight has taken that in.
        """
        optimization = self._optimization
        scale = learning_rate_scale(step, n_steps=n_steps, warm_up=optimization.warm_up)
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * scale
        n_clips, n_learned, n_visual, n_left_out = self._sums(
            share.n_clips, share.n_learned, share.n_visual, len(share.left_out)
        )
        metrics = {
            "lr": self.optimizers[0].param_groups[0]["lr"],
            "n_clips": n_clips,
            "n_learned_tokens": n_learned,
            "n_visual_tokens": n_visual,
            "n_left_out": n_left_out,
        }
        if not n_learned:
            return metrics
        micro_batches = self._in_step(share)
        kept, contrast_loss, pulls = self._contrast(share, micro_batches)
        token_loss = 0.0
        for index, micro in enumerate(micro_batches):
            is_own = index < len(share.micro_batches)
            with self._exchange(index, micro_batches):
                outputs = self._forward(micro) if index or kept is None else kept
                token_loss += float(outputs.token_loss.detach()) * is_own
                pull = pulls[index] if is_own and pulls else None
                self.accelerator.backward(self._loss(outputs, is_own / n_learned, pull))
        norm = self.accelerator.clip_grad_norm_(
            self._trained.parameters(), optimization.max_grad_norm
        )
        (token_loss,) = self._sums(token_loss)
        metrics["loss"], metrics["grad_norm"] = token_loss / n_learned, float(norm)
        if not math.isfinite(metrics["loss"]) or not math.isfinite(metrics["grad_norm"]):
            raise TrainingError(
                f"at step {step} the loss is {metrics['loss']} and the gradient's norm "
                f"{metrics['grad_norm']}; expected finite numbers: lower --lr, or look at the "
                f"weights of the checkpoint that it began with"
            )
        for optimizer in self._prepared:
            optimizer.step()
            optimizer.zero_grad()
        if self.with_vectors:
            metrics["contrast_loss"] = contrast_loss
        metrics["peak_memory_bytes"] = _peak_memory_bytes()
        return metrics

    def _loss(self, outputs: MicroOutputs, token_weight: float, pull: Pull | None) -> Tensor:
        """This micro-batch's part of the global loss; the exchange takes the workers' mean."""
        loss = outputs.token_loss * token_weight
        if pull is not None:
            loss = loss + pull.surrogate(outputs)
        elif outputs.clip_vectors is not None and outputs.text_vectors is not None:
            # All parameters take part in every pass, also where nothing is counted.
            loss = loss + 0.0 * (outputs.clip_vectors.sum() + outputs.text_vectors.sum())
        return loss * self.accelerator.num_processes

    def _contrast(
        self, share: Share, micro_batches: Sequence[MicroBatch]
    ) -> tuple[MicroOutputs | None, float, list[Pull]]:
        """The first micro-batch's outputs, which keep their graph; the contrast, and its pulls.

        So a share of one micro-batch is never passed twice.
        """
        if not self.with_vectors:
            return None, 0.0, []
        with self._exchange(0, micro_batches):
            outputs = [self._forward(micro_batches[0])]
        with torch.no_grad():
            outputs += [self._forward(micro) for micro in micro_batches[1:]]
        loss, pulls = global_contrast(
            self.accelerator,
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
        return nullcontext() if is_last else self.accelerator.no_sync(self._trained)

    def _forward(self, micro: MicroBatch) -> MicroOutputs:
        outputs: MicroOutputs = self._trained(
            *(self._on_device(part) for part in (micro.captions, micro.clip_prompts, micro.texts))
        )
        return outputs

    def _on_device(self, part: dict[str, Any] | None) -> dict[str, Any] | None:
        device = self.accelerator.device
        return part and {name: value.to(device) for name, value in part.items()}

    def _in_step(self, share: Share) -> list[MicroBatch]:
        """The share's passes, and empty ones, so that all workers make equally many."""
        most = max(gather_object([len(share.micro_batches)]))
        missing = most - len(share.micro_batches)
        return [*share.micro_batches, *[self._empty] * missing]

    @torch.no_grad()
    def evaluate(self, shares: Iterable[Share]) -> tuple[dict[str, float], list[LeftOut]]:
        """Mean loss of a token over all workers' shares; and this worker's unusable records.

        Where none can be used there is no loss.
        """
        loss = learned = 0.0
        left_out: list[LeftOut] = []
        self._trained.eval()
        for share in shares:
            for index, micro in enumerate(self._in_step(share)):
                is_own = index < len(share.micro_batches)
                loss += float(self._forward(micro).token_loss) * is_own
            learned += share.n_learned
            left_out += share.left_out
        self._trained.train()
        loss, learned, n_left_out = self._sums(loss, learned, len(left_out))
        metrics = {"n_eval_tokens": learned, "n_eval_left_out": n_left_out}
        return metrics | ({"eval_loss": loss / learned} if learned else {}), left_out

    def _sums(self, *values: float) -> tuple[float, ...]:
        """Sums over all workers."""
        own = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        return tuple(self.accelerator.reduce(own, reduction="sum").tolist())


def _peak_memory_bytes() -> int:
    """The most that was allocated on the GPU, or that this process held without one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return peak_bytes()


def _sharding() -> FullyShardedDataParallelPlugin:
    return FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=LAYERS,
        reshard_after_forward=True,
    )
