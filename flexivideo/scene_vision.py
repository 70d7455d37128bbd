"""Qwen2.5-VL's vision tower with scenes side by side: same weights, same numbers, fewer calls.

Attention never leaves its window (a scene, or a part of its picture). The parent attends to one
window after another, and a batch of clips has thousands. Here a GPU in half precision takes all of
them in one call, and elsewhere windows of equal length are a batch. Patches do not overlap, so
their embedding is one matrix product. On a CPU the scenes go through in parts whose activations
stay in a core's cache.

Shapes: N patches of all scenes, D width, H heads, n windows of L patches.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionPatchEmbed,
    Qwen2_5_VisionTransformerPretrainedModel,
    Qwen2_5_VLVisionAttention,
    apply_rotary_pos_emb_vision,
)

from flexivideo.configuration_flexivideo import FlexiVideoVisionConfig

__all__ = ["SceneVisionTransformer"]

# Patches of a part on a CPU: at a width of 256 float32 numbers 2 MiB, what a core has of its own.
PART_PATCHES = 2048

# What the kernel for windows of any lengths takes.
HALF_PRECISION = (torch.float16, torch.bfloat16)


class SceneVisionTransformer(Qwen2_5_VisionTransformerPretrainedModel):
    """The tower; loads the parent's tensors."""

    config: FlexiVideoVisionConfig

    def __init__(self, config: FlexiVideoVisionConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.patch_embed = _PatchEmbed(
            patch_size=config.patch_size,
            temporal_patch_size=config.temporal_patch_size,
            in_channels=config.in_channels,
            embed_dim=config.hidden_size,
        )
        for block in self.blocks:
            block.attn = _WindowAttention(config)
        self.post_init()

    def forward(
        self, hidden_states: Tensor, grid_thw: Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Hidden states [N, D] and merged ones, for patches [N, C * T * P * P] of videos.

        Args:
            hidden_states: the patches.
            grid_thw: [n_videos, 3]: scenes, rows and columns of patches.
            **kwargs: for the parent.
        """
        is_plain = not kwargs or kwargs == {"return_dict": True}  # no layer's output is asked for
        on_cpu = hidden_states.device.type == "cpu"
        parts = list(_parts(grid_thw, PART_PATCHES)) if on_cpu and is_plain else []
        if len(parts) < 2:
            # Said here once, so that no layer has to wait for a GPU's answer.
            longest = {
                "max_seqlen": int(grid_thw[:, 1:].prod(dim=1).max()),
                "max_window_seqlen": (self.window_size // self.patch_size) ** 2,
            }
            whole: BaseModelOutputWithPooling = super().forward(
                hidden_states, grid_thw, **longest | kwargs
            )
            return whole
        patches = hidden_states.split([int(grid.prod(dim=1).sum()) for grid in parts])
        outputs = [
            super(SceneVisionTransformer, self).forward(part, grid, return_dict=True)
            for part, grid in zip(patches, parts, strict=True)
        ]
        return BaseModelOutputWithPooling(
            last_hidden_state=torch.cat([part.last_hidden_state for part in outputs]),
            pooler_output=torch.cat([part.pooler_output for part in outputs]),
        )


class _PatchEmbed(Qwen2_5_VisionPatchEmbed):
    """The convolution whose stride is its kernel, as what it is: a matrix."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Embeddings [N, D] of patches [N, C * T * P * P]."""
        kernel = self.proj.weight.flatten(1)
        return functional.linear(hidden_states.to(kernel.dtype), kernel)


class _WindowAttention(Qwen2_5_VLVisionAttention):
    """Attention within windows, all of them at once or all of one length."""

    def forward(
        self,
        hidden_states: Tensor,
        cu_seqlens: Tensor,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        max_seqlen: int | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Output [N, D] for inputs [N, D]; windows end at ``cu_seqlens`` [n + 1]."""
        if self.config._attn_implementation != "sdpa":  # flash-attn takes all windows as they are
            return super().forward(
                hidden_states, cu_seqlens, position_embeddings, max_seqlen, **kwargs
            )
        if position_embeddings is None:
            raise ValueError("no position_embeddings came; expected the cosines and sines")
        n_patches = len(hidden_states)
        parts = self.qkv(hidden_states).reshape(n_patches, 3, self.num_heads, -1)
        query, key, value = parts.permute(1, 0, 2, 3).unbind(0)
        query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
        if max_seqlen is not None and query.is_cuda and query.dtype in HALF_PRECISION:
            windows = cu_seqlens, cu_seqlens, max_seqlen, max_seqlen
            attended = cast(Tensor, varlen_attn(query, key, value, *windows))
        else:
            attended = _attend_by_length(query, key, value, cu_seqlens)
        return self.proj(attended.reshape(n_patches, -1))


def _attend_by_length(query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor) -> Tensor:
    """Attention [N, H, D] of queries, keys and values [N, H, D] within windows."""
    attended = torch.empty_like(value)
    for patches in _equal_windows(cu_seqlens):
        q, k, v = (part[patches].transpose(1, 2) for part in (query, key, value))
        attended[patches] = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    return attended


def _equal_windows(cu_seqlens: Tensor) -> Iterator[Tensor]:
    """Numbers [n, L] of the patches in the windows of each length that occurs."""
    starts, lengths = cu_seqlens[:-1].long(), cu_seqlens.diff()
    for length in lengths.unique().tolist():
        if length:
            within = torch.arange(length, device=starts.device)
            yield starts[lengths == length, None] + within


def _parts(grid_thw: Tensor, most_patches: int) -> Iterator[Tensor]:
    """Grids [n, 3] of runs of scenes with so many patches at most, or of one scene."""
    part: list[list[int]] = []
    room = most_patches
    for n_scenes, height, width in grid_thw.tolist():
        left = n_scenes
        while left:
            fits = min(left, max(room // (height * width), 0 if part else 1))
            if fits:
                part.append([fits, height, width])
                left, room = left - fits, room - fits * height * width
            if left:
                yield grid_thw.new_tensor(part)
                part, room = [], most_patches
    if part:
        yield grid_thw.new_tensor(part)
