"""The tower with its windows side by side gives what transformers' gives, one after another."""

import pytest
import torch
from tiny_checkpoints import VISION
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)

from flexivideo.configuration_flexivideo import FlexiVideoVisionConfig
from flexivideo.scene_vision import SceneVisionTransformer

# Frames and sides in patches: windows of many lengths, some of a single patch of tokens.
GRIDS = torch.tensor([[3, 4, 6], [1, 2, 2], [2, 10, 6], [5, 4, 6], [1, 14, 2]])


@pytest.fixture
def towers():
    torch.manual_seed(0)
    config = FlexiVideoVisionConfig(**VISION, attn_implementation="sdpa")
    stock = Qwen2_5_VisionTransformerPretrainedModel._from_config(config).eval()
    ours = SceneVisionTransformer._from_config(config).eval()
    with torch.no_grad():
        for parameter in stock.parameters():
            parameter.normal_(0, 0.3)
    ours.load_state_dict(stock.state_dict())
    return stock, ours


@pytest.fixture
def patches(rng):
    n_patches = int(GRIDS.prod(-1).sum())
    width = 3 * VISION["temporal_patch_size"] * VISION["patch_size"] ** 2
    return torch.from_numpy(rng.standard_normal((n_patches, width))).float()


def test_embeddings_are_those_of_the_stock_tower(towers, patches):
    stock, ours = (tower(patches, GRIDS, return_dict=True).pooler_output for tower in towers)
    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=1e-4)


def test_gradients_are_those_of_the_stock_tower(towers, patches):
    for tower in towers:
        tower(patches, GRIDS, return_dict=True).pooler_output.square().mean().backward()
    stock, ours = (dict(tower.named_parameters()) for tower in towers)
    for name, parameter in ours.items():
        expected = stock[name].grad
        scale = float(expected.abs().max())
        torch.testing.assert_close(parameter.grad, expected, atol=1e-4 * scale + 1e-7, rtol=1e-3)


def test_other_attentions_take_the_parents_way(towers, patches):
    stock, ours = towers
    ours.config._attn_implementation = "eager"
    features = (tower(patches, GRIDS, return_dict=True).pooler_output for tower in (ours, stock))
    torch.testing.assert_close(*features, atol=1e-5, rtol=1e-4)
