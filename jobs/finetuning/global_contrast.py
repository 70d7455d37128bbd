"""The contrast over a whole global batch, whoever of the workers holds its clips.

Every clip has to meet every caption, but no worker can keep all graphs. So vectors are made first,
the loss is taken over everyone's, and its gradient by each vector is what its own micro-batch is
pulled by when its loss is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from flexivideo.training_objective import MicroOutputs, contrast
from jobs.finetuning.loader import MicroBatch

__all__ = ["Pull", "global_contrast"]


@dataclass(frozen=True, kw_only=True)
class Pull:
    """Gradients of the contrast by a micro-batch's vectors, [B, D] each, on the CPU."""

    by_clips: Tensor
    by_texts: Tensor

    def surrogate(self, outputs: MicroOutputs) -> Tensor:
        """Sum of <vector, its gradient>: has the contrast's gradient."""
        clips, texts = _made(outputs.clip_vectors), _made(outputs.text_vectors)
        by_clips, by_texts = self.by_clips.to(clips), self.by_texts.to(texts)
        return (clips * by_clips).sum() + (texts * by_texts).sum()


def global_contrast(
    accelerator: Accelerator,
    own: Sequence[MicroBatch],
    outputs: Sequence[MicroOutputs],
    *,
    weight: float,
) -> tuple[float, list[Pull]]:
    """The weighted contrast over all workers' clips, and what it pulls this worker's own by.

    Args:
        accelerator: joins the workers; each of them calls this.
        own: this worker's micro-batches, none empty.
        outputs: what each of them gave.
        weight: of the contrast in the loss.
    """
    sizes = [len(micro.spoken) for micro in own]
    mine = [
        (_on_cpu(out.clip_vectors), _on_cpu(out.text_vectors), micro.spoken)
        for out, micro in zip(outputs, own, strict=True)
    ]
    everyone = gather_object([mine])  # of a few hundred vectors; a list a worker
    before = sum(
        len(spoken)
        for of_worker in everyone[: accelerator.process_index]
        for _, _, spoken in of_worker
    )
    flat = [part for of_worker in everyone for part in of_worker]
    clips = torch.cat([part[0] for part in flat]).requires_grad_()
    texts = torch.cat([part[1] for part in flat]).requires_grad_()
    loss = weight * contrast(clips, texts, [caption for part in flat for caption in part[2]])
    loss.backward()
    by_clips, by_texts = (
        _made(vectors.grad)[before : before + sum(sizes)].split(sizes) for vectors in (clips, texts)
    )
    pulls = [Pull(by_clips=c, by_texts=t) for c, t in zip(by_clips, by_texts, strict=True)]
    return float(loss), pulls


def _on_cpu(vectors: Tensor | None) -> Tensor:
    return _made(vectors).detach().float().cpu()


def _made(vectors: Tensor | None) -> Tensor:
    """Vectors that were asked for."""
    if vectors is None:
        raise RuntimeError("no vectors were made; expected them where a contrast is taken")
    return vectors
