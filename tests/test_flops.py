"""Operations counted from the configuration are those that torch counts as the model runs."""

import numpy as np
import pytest
import torch
from tiny_checkpoints import tiny_flexivideo, tiny_processor
from torch.utils.flop_counter import FlopCounterMode

from flexivideo.flops import clip_flops, kpixels_per_tflop
from flexivideo.scene_patches import ClipInput, SceneInput

MODES = {"tei": 2, "pi": 6}


def clip_of(n_scenes, height_px, width_px):
    frames = np.zeros((2, height_px, width_px, 3), np.uint8)
    return ClipInput(
        scenes=tuple(
            SceneInput(frames=frames, n_frames=2, start_s=float(k), end_s=float(k + 1))
            for k in range(n_scenes)
        )
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 56, 56), (3, 56, 84), (2, 84, 140), (5, 28, 112)])
def test_the_count_is_torchs(mode, size):
    """Windows at the edges, full and windowed layers, shared keys: to the last operation."""
    n_scenes, height_px, width_px = size
    model = tiny_flexivideo(
        temporal_resample=mode, vision_config={"temporal_patch_size": MODES[mode]}
    )
    model.set_attn_implementation("eager")  # whose products are counted on every machine
    processor = tiny_processor(temporal_resample=mode, max_pixels=448 * 448)
    batch = processor(text=processor.prompt("Say."), clips=[clip_of(*size)])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**batch, logits_to_keep=1)
    n_visual = int((batch["mm_token_type_ids"] == 2).sum())
    counted = clip_flops(
        model.config,
        n_scenes=n_scenes,
        height_px=height_px,
        width_px=width_px,
        n_text_tokens=batch["input_ids"].shape[1] - n_visual,
    )
    by_module = counter.get_flop_counts()
    vision = sum(by_module["FlexiVideoForConditionalGeneration.model.visual"].values())
    assert counted.vision == vision
    assert counted.total == counter.get_total_flops()


def test_more_frames_in_a_window_see_more_pixels_for_the_same_operations():
    n_pixels = 10 * 448 * 448
    assert kpixels_per_tflop(n_pixels, 10**12) == pytest.approx(448 * 448 * 10 / 1000)
    assert kpixels_per_tflop(2 * n_pixels, 10**12) == 2 * kpixels_per_tflop(n_pixels, 10**12)
