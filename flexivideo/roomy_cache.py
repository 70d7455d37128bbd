"""Keys and values with room behind them: a new token is written, not appended to a copy of all.

Growing by concatenation copies the whole past of all clips at every token and layer.

Shapes: B clips, H heads, L tokens, D width of a head.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

__all__ = ["RoomyLayer", "roomy_cache"]

# Tokens that there is room for when a buffer is made, beyond those that are there; then again.
ROOM_TOKENS = 64


class RoomyLayer(DynamicLayer):
    """A layer's keys and values, the first L tokens [B, H, L, D] of buffers with more room.

    What is taken off the end leaves room.
    """

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add tokens [B, H, n, D]; returns keys and values of all."""
        n_had, n_new = self.get_seq_length(), key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._buffers = [key_states[..., :0, :], value_states[..., :0, :]]
        self.keys, self.values = (
            self._written(which, new, n_had, n_had + n_new)
            for which, new in enumerate((key_states, value_states))
        )
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some clips."""
        if not self.is_initialized:
            return
        n_had = self.get_seq_length()
        self._buffers = [buffer[indices] for buffer in self._buffers]
        self.keys, self.values = (buffer[..., :n_had, :] for buffer in self._buffers)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Put clips in another order."""
        self.batch_select_indices(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Have each clip so many times."""
        if self.is_initialized:
            clips = torch.arange(len(self.keys), device=self.device)
            self.batch_select_indices(clips.repeat_interleave(repeats))

    def _written(self, which: int, new: Tensor, n_had: int, n_now: int) -> Tensor:
        buffer = self._buffers[which]
        if buffer.shape[-2] < n_now:
            size = (*new.shape[:-2], n_now + ROOM_TOKENS, new.shape[-1])
            larger = torch.empty(size, dtype=new.dtype, device=new.device)
            larger[..., :n_had, :] = buffer[..., :n_had, :]
            self._buffers[which] = buffer = larger
        buffer[..., n_had:n_now, :] = new
        return buffer[..., :n_now, :]


def roomy_cache() -> Cache:
    """A cache of such layers, as many as the model turns out to have."""
    return Cache(layer_class_to_replicate=RoomyLayer)
