"""The likeliest next token, again and again; a clip whose text has ended leaves the batch.

Same tokens as ``generate`` gives with ``do_sample=False`` and one beam: scores are changed as the
checkpoint's ``generation_config.json`` asks, such as by Qwen2.5-VL's repetition penalty. There a
batch goes on at full size until its longest text has ended.

Shapes: B clips at first, of which fewer go on, L tokens read, D width.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, LogitsProcessorList

__all__ = ["decode_greedily", "end_tokens"]

# Leaving costs a copy of what those that stay have read, so clips leave together.
STAYING_SHARE = 0.75


def decode_greedily(
    model: Any,
    cache: Cache,
    *,
    hidden_BD: Tensor,
    tokens_BL: Tensor,
    attention_mask_BL: Tensor,
    positions_B: Tensor,
    max_new_tokens: int,
) -> list[list[int]]:
    """Tokens that follow what was read, for each clip up to its end token, which is included.

    Args:
        model: a Qwen2.5-VL for conditional generation.
        cache: keys and values of all that was read; used up.
        hidden_BD: hidden state at the last token read.
        tokens_BL: what was read.
        attention_mask_BL: 0 where that is padding.
        positions_B: position of the next token, the same on all axes.
        max_new_tokens: no text becomes longer, ended or not.
    """
    n_read, ends = tokens_BL.shape[1], tokens_BL.new_tensor(end_tokens(model))
    n_most = n_read + max_new_tokens
    processors = _processors(model, tokens_BL, attention_mask_BL, n_most)
    # With room for all that may come, so that nothing is appended to.
    tokens, mask = (_with_room(t, max_new_tokens) for t in (tokens_BL, attention_mask_BL))
    hidden, clips = hidden_BD, torch.arange(len(tokens_BL), device=model.device)
    positions, goes_on = positions_B, torch.ones_like(clips, dtype=torch.bool)
    said: list[list[int]] = [[] for _ in clips]
    for n_now in range(n_read, n_most):
        scores = processors(tokens[:, :n_now], model.lm_head(hidden).float())
        chosen = scores.argmax(dim=-1)
        for clip, token, speaks in zip(
            *(t.tolist() for t in (clips, chosen, goes_on)), strict=True
        ):
            if speaks:
                said[clip].append(token)
        tokens[:, n_now] = chosen
        goes_on &= torch.isin(chosen, ends, invert=True)
        n_on = int(goes_on.sum())
        if not n_on or n_now + 1 == n_most:
            break
        if n_on < STAYING_SHARE * len(clips):
            staying = goes_on.nonzero()[:, 0]
            cache.batch_select_indices(staying)
            tokens, mask, clips, positions, chosen, goes_on = (
                t[staying] for t in (tokens, mask, clips, positions, chosen, goes_on)
            )
            processors = _processors(model, tokens[:, :n_read], mask[:, :n_read], n_most)
        hidden = model.model.language_model(
            input_ids=chosen[:, None],
            attention_mask=mask[:, : n_now + 1],
            position_ids=positions[None, :, None].expand(3, -1, 1),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        positions = positions + 1
    return said


def end_tokens(model: Any) -> list[int]:
    """Tokens that end a text."""
    ends = model.generation_config.eos_token_id
    return [] if ends is None else list(ends) if isinstance(ends, list) else [ends]


def _processors(
    model: Any, tokens_BL: Tensor, attention_mask_BL: Tensor, n_most: int
) -> LogitsProcessorList:
    """What the checkpoint wants done to the scores of these clips, apart from drawing lots."""
    asked = deepcopy(model.generation_config)
    asked.do_sample, asked.num_beams, asked.max_length = False, 1, n_most
    model._prepare_special_tokens(asked, device=tokens_BL.device)
    processors: LogitsProcessorList = model._get_logits_processor(
        generation_config=asked,
        input_ids_seq_length=tokens_BL.shape[1],
        encoder_input_ids=tokens_BL,
        device=tokens_BL.device,
        model_kwargs={"attention_mask": attention_mask_BL},  # padding counts for nothing
    )
    return processors


def _with_room(tensor_BL: Tensor, n_more: int) -> Tensor:
    return torch.cat([tensor_BL, tensor_BL.new_ones(len(tensor_BL), n_more)], dim=1)
