"""Captions and vectors of clips, batched across videos under a token budget.

The vision tower runs once a batch over all scenes of all its clips (its attention never crosses a
scene, so packing changes nothing), and the language model reads the clips once for both the caption
and the vector.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from flexivideo.checkpoints import load_model, load_processor
from flexivideo.embedding import embed_texts
from flexivideo.errors import ModelError
from flexivideo.greedy_decoding import end_tokens
from flexivideo.made_ahead import made_ahead
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.prompts import EMBEDDING_PROMPT, count_text_tokens
from flexivideo.scene_patches import ClipInput, SceneInput
from flexivideo.shared_prefill import SharedPrefill, around_clip
from flexivideo.visual_spec import VisualSpec

__all__ = ["CaptionEngine", "CaptionResult", "ClipInput", "SceneInput", "pack_by_tokens"]

# What a clip can make the model raise; a GPU without memory raises a RuntimeError.
FAILURES = (ModelError, RuntimeError, ValueError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class CaptionResult:
    """What became of one clip.

    Attributes:
        caption: the text; None where the model failed.
        status: "success", "truncated" (the limit came before the end of the text) or "error".
        n_caption_tokens: tokens generated, the end token not counted.
        n_visual_tokens: tokens that the clip's scenes took.
        embedding: unit vector float32 [D]; None where the model failed.
        error_message: what failed; None unless it did.
    """

    caption: str | None
    status: str
    n_caption_tokens: int
    n_visual_tokens: int
    embedding: NDArray[np.float32] | None
    error_message: str | None = None


class CaptionEngine:
    """A model and its processor, asked for captions and vectors."""

    def __init__(
        self, model: FlexiVideoForConditionalGeneration, processor: FlexiVideoProcessor
    ) -> None:
        self.model, self.processor = model, processor

    @classmethod
    def from_pretrained(
        cls,
        model: str | None,
        *,
        dtype: str = "float32",
        device: str | None = None,
        attention: str | None = None,
        temporal_resample: str | None = None,
        max_pixels: int | None = None,
    ) -> "CaptionEngine":
        """Engine of a checkpoint; see :func:`flexivideo.checkpoints.load_model`."""
        return cls(
            load_model(
                model,
                dtype=dtype,
                device=device,
                attention=attention,
                temporal_resample=temporal_resample,
            ),
            load_processor(model, temporal_resample=temporal_resample, max_pixels=max_pixels),
        )

    @property
    def spec(self) -> VisualSpec:
        """What the model wants to see."""
        return self.processor.spec

    @property
    def embedding_dim(self) -> int:
        """Width of a vector, D."""
        return self.model.config.text_config.hidden_size

    def caption(
        self,
        clips: Sequence[ClipInput],
        *,
        prompt: str,
        max_new_tokens: int,
        max_batch_tokens: int,
    ) -> list[CaptionResult]:
        """Caption and embed clips, greedily; the results are in the order of the clips.

        A clip that the model cannot take ends with status "error"; the others do not suffer.

        Args:
            clips: any number, of any sizes.
            prompt: what is asked of each.
            max_new_tokens: longest caption.
            max_batch_tokens: most tokens of a batch after padding: visual, prompt and new ones. A
                clip that is larger alone goes alone.

        Raises:
            SettingsError: if prompt and caption leave no room for a clip.
        """
        question = self.processor.prompt(prompt)
        context = self.model.config.text_config.max_position_embeddings
        n_text = count_text_tokens(
            self.processor.tokenizer, question, max_new_tokens=max_new_tokens, context=context
        )
        lengths = [self.processor.n_visual_tokens(clip) + n_text for clip in clips]
        results: list[CaptionResult | None] = [None] * len(clips)
        batches = list(pack_by_tokens(lengths, max_batch_tokens))
        of_batches = [[clips[index] for index in batch] for batch in batches]
        on_gpu = self.model.device.type != "cpu"
        ready = made_ahead(self.processor.vision_inputs, of_batches, has_time=on_gpu)
        for batch, (of_batch, vision) in zip(batches, ready, strict=True):
            answers = self._caption_or_split(of_batch, vision, question, max_new_tokens)
            for index, answer in zip(batch, answers, strict=True):
                results[index] = answer
        return [result for result in results if result is not None]

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors float32 [N, D] of texts."""
        return embed_texts(self.model, self.processor, texts).cpu().numpy()

    def _caption_or_split(
        self,
        clips: Sequence[ClipInput],
        vision: Callable[[], dict[str, Tensor]],
        question: str,
        max_new_tokens: int,
    ) -> list[CaptionResult]:
        """The batch; if it fails, its halves, down to the one clip at fault."""
        try:
            return self._caption_batch(clips, vision(), question, max_new_tokens)
        except FAILURES as error:
            message = f"{type(error).__name__}: {error}"
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(clips) > 1:
            middle, encode = len(clips) // 2, self.processor.vision_inputs
            return [
                result
                for half in (clips[:middle], clips[middle:])
                for result in self._caption_or_split(
                    half, partial(encode, half), question, max_new_tokens
                )
            ]
        failed = CaptionResult(
            caption=None,
            status="error",
            n_caption_tokens=0,
            n_visual_tokens=self.processor.n_visual_tokens(clips[0]),
            embedding=None,
            error_message=message,
        )
        return [failed]

    @torch.inference_mode()
    def _caption_batch(
        self,
        clips: Sequence[ClipInput],
        vision: dict[str, Tensor],
        question: str,
        max_new_tokens: int,
    ) -> list[CaptionResult]:
        head, tail = around_clip(question)
        same_head, vector_tail = around_clip(self.processor.prompt(EMBEDDING_PROMPT))
        if head != same_head:
            raise ModelError(
                f"the chat template puts the question before the clip ({head[-80:]!r}); expected "
                f"the clip first, as Qwen2.5-VL's does"
            )
        prefill = SharedPrefill(self.model, self.processor, clips, vision, head=head)
        vectors = functional.normalize(prefill.last_hidden(vector_tail).float(), dim=-1)
        if not torch.isfinite(vectors).all():
            raise ModelError(
                "the model gave no finite numbers for a clip; expected finite pixels, and a dtype "
                "wide enough for the weights (try bfloat16 or float32)"
            )
        answers = prefill.generate(tail, max_new_tokens=max_new_tokens)
        return [
            self._result(answer, clip, vector)
            for answer, clip, vector in zip(answers, clips, vectors.cpu().numpy(), strict=True)
        ]

    def _result(
        self, answer: list[int], clip: ClipInput, vector: NDArray[np.float32]
    ) -> CaptionResult:
        has_ended = answer[-1] in end_tokens(self.model)
        kept = answer[:-1] if has_ended else answer
        text = self.processor.tokenizer.decode(kept, skip_special_tokens=True)
        return CaptionResult(
            caption=text.strip(),
            status="success" if has_ended else "truncated",
            n_caption_tokens=len(kept),
            n_visual_tokens=self.processor.n_visual_tokens(clip),
            embedding=vector,
        )


def pack_by_tokens(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches whose padded size, count times longest, stays within the budget.

    Sorted by length, longest first, so that little is padded; an item above the budget goes alone.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
