"""What training minimises: the captions' cross-entropy, and vectors of clips and captions apart.

    loss = sum of -log p(token) over all learned tokens / their number
         + weight * contrast(clip vectors, caption vectors)

Both are taken over the whole global batch, however it is cut into micro-batches and shared among
workers: the number of tokens is known before, and the contrast's gradient is taken with respect to
all vectors first and then carried back micro-batch by micro-batch, by the surrogate sum of
<vector, its gradient>.

Shapes: B clips, L tokens, D width of the vectors.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithPooling

from flexivideo.embedding import embed_inputs
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.training_batches import IGNORED

__all__ = ["MicroOutputs", "TrainingModel", "contrast"]

# Of cosines in the contrast; the usual one of image-text training at its start.
TEMPERATURE = 0.07

Inputs = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MicroOutputs:
    """What one micro-batch gives.

    Attributes:
        token_loss: sum of the cross-entropies of its learned tokens.
        clip_vectors: unit vectors [B, D]; None where they are not asked for.
        text_vectors: likewise of the captions.
    """

    token_loss: Tensor
    clip_vectors: Tensor | None
    text_vectors: Tensor | None


class TrainingModel(nn.Module):
    """The model with its losses as one forward pass, so that any wrapper sees one call."""

    def __init__(self, model: FlexiVideoForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, captions: Inputs, clip_prompts: Inputs | None, texts: Inputs | None
    ) -> MicroOutputs:
        """One micro-batch; the vision tower runs once for both uses of its output.

        Args:
            captions: of ``training_batches.caption_batch``.
            clip_prompts: of ``training_batches.clip_vector_inputs`` for the same clips, or None.
            texts: of ``embedding.text_vector_inputs`` for their captions, or None.
        """
        rest = dict(captions)
        labels, pixels = rest.pop("labels"), rest.pop("pixel_values_videos")
        vision = {name: rest[name] for name in ("video_grid_thw", "scene_start_s")}
        encoded = self.model.get_video_features(pixels, rest["video_grid_thw"], return_dict=True)
        hidden = self.model.model(**rest, **_encoded(encoded), use_cache=False).last_hidden_state
        clip_vectors = text_vectors = None
        if clip_prompts is not None and texts is not None:
            clip_vectors = embed_inputs(self.model, **clip_prompts, **vision, **_encoded(encoded))
            text_vectors = embed_inputs(self.model, **texts)
        return MicroOutputs(
            token_loss=self._token_loss(hidden, labels),
            clip_vectors=clip_vectors,
            text_vectors=text_vectors,
        )

    def _token_loss(self, hidden_BLD: Tensor, labels_BL: Tensor) -> Tensor:
        """Sum of cross-entropies; logits are made at learned positions alone, few of many."""
        targets = labels_BL[:, 1:]
        learned = targets != IGNORED
        logits = self.model.lm_head(hidden_BLD[:, :-1][learned])
        return functional.cross_entropy(logits.float(), targets[learned], reduction="sum")


def contrast(clip_vectors_BD: Tensor, text_vectors_BD: Tensor, captions: list[str]) -> Tensor:
    """Symmetric InfoNCE: each clip finds its caption among all, and each caption its clip.

    Clips whose captions are equal count as one another's: a share each of the target.
    """
    same = torch.tensor(
        [[one == other for other in captions] for one in captions],
        device=clip_vectors_BD.device,
        dtype=clip_vectors_BD.dtype,
    )
    targets = same / same.sum(dim=1, keepdim=True)
    cosines = clip_vectors_BD @ text_vectors_BD.T / TEMPERATURE
    by_clip = functional.cross_entropy(cosines, targets)
    return (by_clip + functional.cross_entropy(cosines.T, targets)) / 2


def _encoded(encoded: BaseModelOutputWithPooling) -> Inputs:
    # A copy of the outer object: the model concatenates the features in place of its field.
    outputs = BaseModelOutputWithPooling(pooler_output=encoded.pooler_output)
    return {"mm_encoder_outputs": {"video": outputs}}
