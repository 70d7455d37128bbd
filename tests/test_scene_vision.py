"""The tower with its windows side by side gives what transformers' gives, one after another."""

from unittest import mock

import pytest
import torch
from tiny_checkpoints import VISION
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)

from flexivideo import scene_vision
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


# Of GRIDS at once, in parts of several videos, and scene by scene.
part_patches = pytest.mark.parametrize("part_patches", [2048, 100, 1])


@part_patches
def test_embeddings_are_those_of_the_stock_tower(towers, patches, monkeypatch, part_patches):
    monkeypatch.setattr(scene_vision, "PART_PATCHES", part_patches)
    stock, ours = (tower(patches, GRIDS, return_dict=True) for tower in towers)
    for name in ("pooler_output", "last_hidden_state"):
        torch.testing.assert_close(ours[name], stock[name], atol=1e-5, rtol=1e-4)


@part_patches
def test_gradients_are_those_of_the_stock_tower(towers, patches, monkeypatch, part_patches):
    monkeypatch.setattr(scene_vision, "PART_PATCHES", part_patches)
    for tower in towers:
        tower(patches, GRIDS, return_dict=True).pooler_output.square().mean().backward()
    stock, ours = (dict(tower.named_parameters()) for tower in towers)
    for name, parameter in ours.items():
        expected = stock[name].grad
        scale = float(expected.abs().max())
        torch.testing.assert_close(parameter.grad, expected, atol=1e-4 * scale + 1e-7, rtol=1e-3)


def test_layers_outputs_can_be_had_however_many_patches_there_are(towers, patches, monkeypatch):
    monkeypatch.setattr(scene_vision, "PART_PATCHES", 1)
    asked = {"return_dict": True, "output_hidden_states": True}
    stock, ours = (tower(patches, GRIDS, **asked).hidden_states for tower in towers)
    assert len(ours) == len(stock)
    torch.testing.assert_close(ours, stock, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("most_patches", [1, 70, 129, 10_000])
def test_parts_hold_all_scenes_in_order_and_no_more_than_fit(most_patches):
    parts = list(scene_vision._parts(GRIDS, most_patches))
    scenes = [[h, w] for part in parts for n, h, w in part.tolist() for _ in range(n)]
    assert scenes == [[h, w] for n, h, w in GRIDS.tolist() for _ in range(n)]
    sizes = [int(part.prod(-1).sum()) for part in parts]
    assert all(
        size <= most_patches or part[:, 0].sum() == 1
        for size, part in zip(sizes, parts, strict=True)
    )
    first = [int(part[0, 1:].prod()) for part in parts]
    full = [size + more > most_patches for size, more in zip(sizes, first[1:], strict=False)]
    assert all(full)  # none ends before it has to


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_gpu_in_half_precision_gives_the_same_to_its_rounding(towers, patches, dtype):
    stock, ours = towers
    expected = stock(patches, GRIDS, return_dict=True).pooler_output
    grids, patches = GRIDS.cuda(), patches.cuda().to(dtype)
    for parameter in ours.cuda().parameters():  # a checkpoint's dtype leaves the buffers alone
        parameter.data = parameter.data.to(dtype)
    with mock.patch.object(scene_vision, "_attend_by_length", side_effect=AssertionError):
        got = ours(patches, grids, return_dict=True).pooler_output.float().cpu()
    assert (got - expected).norm() < 3 * torch.finfo(dtype).eps * expected.norm()


@needs_gpu
def test_a_gpu_in_half_precision_gives_the_same_gradients_to_its_rounding(towers, patches):
    stock, ours = towers
    stock(patches, GRIDS, return_dict=True).pooler_output.square().mean().backward()
    ours = ours.cuda()
    with torch.autocast("cuda", torch.bfloat16):
        got = ours(patches.cuda(), GRIDS.cuda(), return_dict=True).pooler_output
    got.float().square().mean().backward()
    expected = dict(stock.named_parameters())
    for name, parameter in ours.named_parameters():
        difference = (parameter.grad.cpu() - expected[name].grad).norm()
        assert difference < 0.05 * expected[name].grad.norm(), name


def test_other_attentions_take_the_parents_way(towers, patches):
    stock, ours = towers
    ours.config._attn_implementation = "eager"
    features = (tower(patches, GRIDS, return_dict=True).pooler_output for tower in (ours, stock))
    torch.testing.assert_close(*features, atol=1e-5, rtol=1e-4)
