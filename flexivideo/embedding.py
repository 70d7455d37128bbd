"""Vectors of clips and of texts: the last position's hidden state after a one-word prompt.

Both go through the same language model, so they share a space; how well a text finds a video there
depends on the weights and has to be measured. Source of the idea: one-prompt embeddings of
multimodal language models, after which the answer's first word carries the meaning.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.prompts import TEXT_EMBEDDING_PROMPT

__all__ = ["embed_inputs", "embed_texts", "text_vector_inputs"]


def embed_inputs(model: FlexiVideoForConditionalGeneration, **inputs: Any) -> Tensor:
    """Unit vectors float32 [B, D] of prompts that are padded on the left.

    Args:
        model: the model.
        **inputs: what its ``forward`` takes.
    """
    hidden = model.model(**inputs, use_cache=False).last_hidden_state[:, -1]
    return functional.normalize(hidden.float(), dim=-1)


@torch.inference_mode()
def embed_texts(
    model: FlexiVideoForConditionalGeneration,
    processor: FlexiVideoProcessor,
    texts: Sequence[str],
) -> Tensor:
    """Unit vectors float32 [N, D] of texts, in the space of the clips' vectors."""
    inputs = text_vector_inputs(processor, texts)
    return embed_inputs(model, **{name: value.to(model.device) for name, value in inputs.items()})


def text_vector_inputs(processor: FlexiVideoProcessor, texts: Sequence[str]) -> dict[str, Tensor]:
    """Inputs of the prompt whose last position is a text's vector, padded on the left."""
    prompts = [
        processor.apply_chat_template(
            [{"role": "user", "content": TEXT_EMBEDDING_PROMPT.format(text=text)}],
            tokenize=False,
            add_generation_prompt=True,
        )
        for text in texts
    ]
    encoded = processor.tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt")
    # Plain text counts its own positions, whatever the padding.
    positions = (encoded["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    return {
        "input_ids": encoded["input_ids"],
        "attention_mask": encoded["attention_mask"],
        "position_ids": positions.expand(3, -1, -1),
    }
