"""Steps as a worker takes them: its share of the global batch, in micro-batches of like length.

Record i of a step belongs to worker i mod N. A worker cuts its share into micro-batches by their
tokens after decoding, so little is padded; how it is cut changes no sum.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from flexivideo.captioning import pack_by_tokens
from flexivideo.embedding import text_vector_inputs
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.scene_patches import ClipInput, SceneInput
from flexivideo.training_batches import (
    TrainingExample,
    caption_batch,
    clip_vector_inputs,
    make_example,
)
from jobs.finetuning.data import TrainingExamples
from pipeline.training_records import LeftOut

__all__ = ["MicroBatch", "Share", "StepShares", "empty_micro_batch", "load_shares"]

PREFETCHED_STEPS = 2


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """One forward pass.

    Attributes:
        captions: of ``caption_batch``.
        clip_prompts: of ``clip_vector_inputs``, or None without a contrast.
        texts: of ``text_vector_inputs``, or None without a contrast.
        spoken: the captions as text.
    """

    captions: dict[str, Any]
    clip_prompts: dict[str, Any] | None
    texts: dict[str, Any] | None
    spoken: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one worker does of a step.

    Attributes:
        micro_batches: none if all its records were left out.
        n_clips: records in it.
        n_learned: learned tokens.
        n_visual: visual tokens.
        left_out: records that could not be used.
    """

    micro_batches: tuple[MicroBatch, ...]
    n_clips: int
    n_learned: int
    n_visual: int
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, kw_only=True)
class StepShares:
    """Which shares a worker loads; everything that the loader's process needs.

    Attributes:
        examples: where they come from.
        processor: the checkpoint's.
        context_tokens: longest sequence that the model takes.
        numbers: numbers of the examples of each share.
        batch_tokens: most tokens of a micro-batch, padding included.
        with_vectors: whether the contrast's inputs are wanted.
    """

    examples: TrainingExamples
    processor: FlexiVideoProcessor
    context_tokens: int
    numbers: tuple[tuple[int, ...], ...]
    batch_tokens: int
    with_vectors: bool

    def load(self, share: int) -> Share:
        """One share."""
        loaded = [self.examples.load(number) for number in self.numbers[share]]
        usable = [item for item in loaded if not isinstance(item, LeftOut)]
        packs = pack_by_tokens([example.n_tokens for example in usable], self.batch_tokens)
        return Share(
            micro_batches=tuple(
                make_micro_batch(
                    self.processor, [usable[i] for i in pack], with_vectors=self.with_vectors
                )
                for pack in packs
            ),
            n_clips=len(usable),
            n_learned=sum(int((example.labels[1:] >= 0).sum()) for example in usable),
            n_visual=sum(self.processor.n_visual_tokens(example.clip) for example in usable),
            left_out=tuple(item for item in loaded if isinstance(item, LeftOut)),
        )


class _Shares(IterableDataset):
    """The shares in order, dealt out among the loader's processes."""

    def __init__(self, shares: StepShares) -> None:
        self._shares, self._is_open = shares, False

    def __iter__(self) -> Iterator[Share]:
        torch.set_num_threads(1)
        info = get_worker_info()
        first, stride = (info.id, info.num_workers) if info else (0, 1)
        if not self._is_open:
            self._shares.examples.open(self._shares.processor, self._shares.context_tokens)
            self._is_open = True
        for share in range(first, len(self._shares.numbers), stride):
            yield self._shares.load(share)


def load_shares(shares: StepShares, *, loaders: int) -> Iterable[Share]:
    """The shares in order, loaded ahead in processes of their own; can be gone through again."""
    return DataLoader(
        _Shares(shares),
        batch_size=None,
        num_workers=loaders,
        prefetch_factor=PREFETCHED_STEPS,
        persistent_workers=True,
        # A worker has threads (Ray's, torch's) that a fork would copy half of.
        multiprocessing_context="spawn",
    )


def make_micro_batch(
    processor: FlexiVideoProcessor, examples: list[TrainingExample], *, with_vectors: bool
) -> MicroBatch:
    """One forward pass over the examples."""
    clips, spoken = [e.clip for e in examples], tuple(e.caption for e in examples)
    return MicroBatch(
        captions=dict(caption_batch(processor, examples)),
        clip_prompts=clip_vector_inputs(processor, clips) if with_vectors else None,
        texts=text_vector_inputs(processor, spoken) if with_vectors else None,
        spoken=spoken,
    )


def empty_micro_batch(processor: FlexiVideoProcessor, *, with_vectors: bool) -> MicroBatch:
    """A pass over one grey frame, for a worker that must keep step but has nothing left to do."""
    size = processor.spec.frame_size(1, 1)
    grey = SceneInput(
        frames=np.full((1, *size, 3), 128, np.uint8), n_frames=1, start_s=0.0, end_s=1.0
    )
    example = make_example(processor, ClipInput(scenes=(grey,)), [("", ".")])
    return make_micro_batch(processor, [example], with_vectors=with_vectors)
