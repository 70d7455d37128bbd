"""Floating-point operations of reading one clip, counted from the configuration alone.

A multiplication and an addition are two operations, as torch's own counter has it. What is counted
are matrix products and attention; norms, activations and rotations are a percent of them. Attention
counts every pair of a window, also those that a causal mask hides.

Shapes: K scenes, N patches, L tokens of a window or of the whole sequence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from flexivideo.configuration_flexivideo import FlexiVideoConfig

__all__ = ["ClipFlops", "clip_flops", "kpixels_per_tflop"]


@dataclass(frozen=True, kw_only=True)
class ClipFlops:
    """Operations by part.

    Attributes:
        vision: patch embedding, vision tower and connector.
        language: reading prompt and visual tokens, and the logits of the first new token.
    """

    vision: int
    language: int

    @property
    def total(self) -> int:
        """Of both."""
        return self.vision + self.language


def clip_flops(
    config: FlexiVideoConfig,
    *,
    n_scenes: int,
    height_px: int,
    width_px: int,
    n_text_tokens: int,
) -> ClipFlops:
    """Operations of one clip.

    Args:
        config: the model's.
        n_scenes: windows of frames, K, of any lengths: the kernel meets virtual frames.
        height_px: of a frame as the model sees it.
        width_px: likewise.
        n_text_tokens: tokens of the prompt.
    """
    vision = config.vision_config
    rows, columns = height_px // vision.patch_size, width_px // vision.patch_size
    n_patches = n_scenes * rows * columns
    n_visual_tokens = n_patches // vision.spatial_merge_size**2
    return ClipFlops(
        vision=_vision(config, n_scenes, rows, columns),
        language=_language(config, n_text_tokens + n_visual_tokens),
    )


def kpixels_per_tflop(n_pixels: int, flops: int) -> float:
    """Thousand pixels seen for a million million operations.

    Source: the paper's metric, H W T / (1000 TFLOPs): the pixels of all sampled frames, however
    many of these share a window.
    """
    return n_pixels / 1000 / (flops / 1e12)


def _vision(config: FlexiVideoConfig, n_scenes: int, rows: int, columns: int) -> int:
    vision = config.vision_config
    width, merge = vision.hidden_size, vision.spatial_merge_size
    n_patches = n_scenes * rows * columns
    kernel = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    embedding = _linear(n_patches, kernel, width)
    dense = _linear(n_patches, width, 4 * width)  # query, key, value and output
    dense += 3 * _linear(n_patches, width, vision.intermediate_size)  # gate, up and down
    side = vision.window_size // vision.patch_size
    windowed = sum(_attention(length, width) for length in _windows(rows, columns, side))
    full = _attention(rows * columns, width)
    n_full = len(set(vision.fullatt_block_indexes) & set(range(vision.depth)))
    attention = n_scenes * (n_full * full + (vision.depth - n_full) * windowed)
    merged = width * merge**2
    n_tokens = n_patches // merge**2
    connector = _linear(n_tokens, merged, merged) + _linear(
        n_tokens, merged, vision.out_hidden_size
    )
    return embedding + vision.depth * dense + attention + connector


def _windows(rows: int, columns: int, side: int) -> Iterator[int]:
    """Patches in each window of a frame; those at the edges are smaller."""
    for top in range(0, rows, side):
        for left in range(0, columns, side):
            yield min(side, rows - top) * min(side, columns - left)


def _language(config: FlexiVideoConfig, length: int) -> int:
    text = config.text_config
    width, head = text.hidden_size, text.hidden_size // text.num_attention_heads
    own, shared = text.num_attention_heads * head, text.num_key_value_heads * head
    dense = _linear(length, width, own + 2 * shared) + _linear(length, own, width)
    dense += 3 * _linear(length, width, text.intermediate_size)
    layer = dense + _attention(length, own)
    return text.num_hidden_layers * layer + _linear(1, width, text.vocab_size)


def _linear(n_rows: int, n_in: int, n_out: int) -> int:
    return 2 * n_rows * n_in * n_out


def _attention(length: int, width: int) -> int:
    """Scores and weighted sum, over all heads."""
    return 2 * 2 * length**2 * width
