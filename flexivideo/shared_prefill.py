"""What several prompts about the same clips begin with goes through the language model once.

A clip's vector and its caption come from two prompts that differ only after the clip, and the clip
is nearly all of both. Its keys and values are computed once and continued by either.

Shapes: B clips, L tokens up to the end of the clips (padded on the left), K tokens of a tail.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from flexivideo.errors import ModelError
from flexivideo.greedy_decoding import decode_greedily
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import VIDEO_PAD, FlexiVideoProcessor
from flexivideo.roomy_cache import roomy_cache
from flexivideo.scene_patches import ClipInput

__all__ = ["SharedPrefill", "around_clip"]


class SharedPrefill:
    """Clips that the language model has read, ready for what is asked about them."""

    def __init__(
        self,
        model: FlexiVideoForConditionalGeneration,
        processor: FlexiVideoProcessor,
        clips: Sequence[ClipInput],
        vision: dict[str, Tensor],
        *,
        head: str,
    ) -> None:
        """Encode the clips and read them.

        Args:
            model: the model.
            processor: its processor.
            clips: B clips.
            vision: what ``processor.vision_inputs`` makes of them.
            head: text up to the clip, such as :func:`around_clip` gives.
        """
        self._model, self._processor = model, processor
        vision = self._on_device(vision)
        features = model.get_video_features(
            vision.pop("pixel_values_videos"), vision["video_grid_thw"], return_dict=True
        )
        self._tokens = self._on_device(
            processor.text_inputs([head + VIDEO_PAD] * len(clips), clips)
        )
        self._n_read = self._tokens["input_ids"].shape[1]
        self._cache = roomy_cache()
        self._check_room(0)
        # Where text goes on after the clips is what one more token of text would have.
        one_more = self._with_tokens(self._tokens["input_ids"][:1, -1:])
        positions, _ = model.model.get_rope_index(**one_more, **vision)
        self._tail_begins_B, positions = positions[0, :, -1], positions[:, :, :-1]
        model.model(
            input_ids=self._tokens["input_ids"],
            attention_mask=self._tokens["attention_mask"],
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            mm_encoder_outputs={
                "video": BaseModelOutputWithPooling(pooler_output=features.pooler_output)
            },
        )

    def last_hidden(self, tail: str) -> Tensor:
        """Hidden states [B, D] at the last token of a tail; what was read stays as it was."""
        hidden, n_tail = self._read(self._with(tail))
        self._cache.crop(-n_tail)
        return hidden

    def generate(self, tail: str, *, max_new_tokens: int) -> list[list[int]]:
        """New tokens of each clip after a tail, greedily; uses up what was read."""
        tokens = self._with(tail)
        self._check_room(tokens["input_ids"].shape[1] - self._n_read + max_new_tokens)
        hidden, n_tail = self._read(tokens)
        return decode_greedily(
            self._model,
            self._cache,
            hidden_BD=hidden,
            tokens_BL=tokens["input_ids"],
            attention_mask_BL=tokens["attention_mask"],
            positions_B=self._tail_begins_B + n_tail,
            max_new_tokens=max_new_tokens,
        )

    def _read(self, tokens: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Read what stands after the clips; the last hidden states [B, D], and how many tokens."""
        n_tail = tokens["input_ids"].shape[1] - self._n_read
        self._check_room(n_tail)
        positions = self._tail_begins_B[:, None] + torch.arange(n_tail, device=self._model.device)
        outputs = self._model.model(
            input_ids=tokens["input_ids"][:, self._n_read :],
            attention_mask=tokens["attention_mask"],
            position_ids=positions.expand(3, -1, -1),
            past_key_values=self._cache,
            use_cache=True,
        )
        return outputs.last_hidden_state[:, -1], n_tail

    def _with(self, tail: str) -> dict[str, Tensor]:
        """Tokens of clips and tail."""
        ids = self._processor.tokenizer(tail, add_special_tokens=False, return_tensors="pt")
        return self._with_tokens(ids["input_ids"].to(self._model.device))

    def _with_tokens(self, row_1K: Tensor) -> dict[str, Tensor]:
        added = {
            "input_ids": row_1K,
            "attention_mask": torch.ones_like(row_1K),
            "mm_token_type_ids": torch.zeros_like(row_1K),
        }
        return {
            name: torch.cat([self._tokens[name], value.expand(len(self._tokens[name]), -1)], dim=1)
            for name, value in added.items()
        }

    def _check_room(self, n_more: int) -> None:
        longest, context = (
            self._n_read + n_more,
            self._model.config.text_config.max_position_embeddings,
        )
        if longest > context:
            raise ModelError(
                f"a clip takes {longest} tokens with its prompt and caption; expected at most the "
                f"model's {context}: lower max_clip_tokens, max_pixels or clip_s"
            )

    def _on_device(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: tensor.to(self._model.device) for name, tensor in inputs.items()}


def around_clip(prompt: str) -> tuple[str, str]:
    """The text before a prompt's clip, and the text after it.

    Raises:
        ModelError: if it does not have exactly one clip.
    """
    head, *tails = prompt.split(VIDEO_PAD)
    if len(tails) != 1:
        raise ModelError(f"the prompt has {len(tails)} {VIDEO_PAD}; expected one: {prompt[:80]!r}")
    return head, tails[0]
