"""In tei mode, two-frame scenes are what stock Qwen2.5-VL sees; and a saved model loads equal."""

from functools import partial

import numpy as np
import pytest
import torch
from tiny_checkpoints import save_stock, tiny_flexivideo, tiny_tokenizer
from transformers import AutoModelForImageTextToText
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

from flexivideo.checkpoints import load_model, load_processor
from flexivideo.errors import ModelError
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.scene_patches import ClipInput, SceneInput

FPS = 2.0

VISION_INPUTS = ("pixel_values_videos", "video_grid_thw")

GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))


@pytest.fixture(scope="module", params=["cpu", GPU])
def device(request):
    """Where both models compute, with all digits: cuDNN's convolutions leave some out otherwise."""
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield request.param


@pytest.fixture(scope="module")
def stock_folder(tmp_path_factory):
    return save_stock(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def stock(stock_folder, device):
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(stock_folder).to(device).eval()


@pytest.fixture(scope="module")
def ours(stock_folder, device):
    return load_model(str(stock_folder), device=device)


def two_frame_scenes(rng, n_scenes=4, height=56, width=84):
    frames = rng.integers(0, 256, (n_scenes, 2, height, width, 3)).astype(np.uint8)
    return ClipInput(
        scenes=tuple(
            SceneInput(frames=pair, n_frames=2, start_s=k * 2 / FPS, end_s=(k + 1) * 2 / FPS)
            for k, pair in enumerate(frames)
        )
    )


@pytest.fixture
def batch(rng, stock_folder, device):
    processor = load_processor(str(stock_folder))
    clips = [two_frame_scenes(rng)]
    return processor(text=processor.prompt("Describe."), clips=clips).to(device)


def stock_inputs(batch):
    """The same input as the stock class takes it: a rate instead of start times."""
    inputs = {name: value for name, value in batch.items() if name != "scene_start_s"}
    return inputs | {"second_per_grid_ts": torch.tensor([2 / FPS])}


@torch.inference_mode()
def test_two_frame_scenes_have_the_stock_embeddings(stock, ours, batch):
    arguments = batch["pixel_values_videos"], batch["video_grid_thw"]
    expected = stock.model.get_video_features(*arguments, return_dict=True).pooler_output
    features = ours.model.get_video_features(*arguments, return_dict=True).pooler_output
    torch.testing.assert_close(torch.cat(features), torch.cat(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("text_position", ["spatial", "all_axes"])
def test_two_frame_scenes_at_a_constant_rate_have_the_stock_positions(
    stock, ours, batch, text_position
):
    ours.config.text_position = text_position
    expected, _ = stock.model.get_rope_index(**stock_inputs(batch))
    positions, _ = ours.model.get_rope_index(**batch)
    until = len(batch["input_ids"][0])
    if text_position == "all_axes":  # the text after the clip is ours by choice
        until = int((batch["mm_token_type_ids"][0] == 2).nonzero().max()) + 1
    assert torch.equal(positions[:, :, :until], expected[:, :, :until])


@torch.inference_mode()
def test_two_frame_scenes_have_the_stock_logits(stock, ours, batch):
    ours.config.text_position = "spatial"
    expected = stock(**stock_inputs(batch)).logits
    torch.testing.assert_close(ours(**batch).logits, expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_another_start_time_gives_other_logits(ours, batch):
    """Else the positions above would not have reached the model."""
    before = ours(**batch).logits
    batch["scene_start_s"] = batch["scene_start_s"] * 8
    assert not torch.allclose(ours(**batch).logits, before, atol=1e-3)


@torch.inference_mode()
def test_attention_in_the_vision_tower_never_crosses_a_scene(ours, rng, stock_folder):
    """Each scene's features are those it has alone, whatever stands beside it."""
    processor = load_processor(str(stock_folder))
    clip = two_frame_scenes(rng)

    def features(scenes):
        inputs = processor.vision_inputs([ClipInput(scenes=scenes)])
        arguments = (inputs[name].to(ours.device) for name in VISION_INPUTS)
        found = ours.model.get_video_features(*arguments, return_dict=True)
        return found.pooler_output[0].reshape(len(scenes), -1, found.pooler_output[0].shape[-1])

    together = features(clip.scenes)
    close = partial(torch.testing.assert_close, atol=1e-4, rtol=1e-4)
    close(together.flip(0), features(clip.scenes[::-1]))
    for number, scene in enumerate(clip.scenes):
        close(features((scene,))[0], together[number])
    assert (together[0] - together[1]).abs().max() > 0.01  # there is something to mix


@pytest.mark.parametrize("mode", ["tei", "pi", "pi_const"])
def test_a_saved_model_loads_equal(tmp_path, mode):
    taps = 2 if mode == "tei" else 6
    model = tiny_flexivideo(temporal_resample=mode, vision_config={"temporal_patch_size": taps})
    model.save_pretrained(tmp_path)
    loaded, report = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is FlexiVideoForConditionalGeneration
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    before, after = model.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert loaded.config.temporal_resample == mode


@torch.inference_mode()
def test_a_stock_checkpoint_expanded_to_pi_answers_repeated_pairs_as_before(
    stock_folder, ours, rng
):
    """The expansion is training-free: six frames, a pair three times, are that pair."""
    expanded = load_model(str(stock_folder), temporal_resample="pi", device=ours.device.type)
    pair = rng.integers(0, 256, (2, 56, 56, 3)).astype(np.uint8)
    features = []
    for model, frames in ((ours, pair), (expanded, np.tile(pair, (3, 1, 1, 1)))):
        mode = model.config.temporal_resample
        processor = load_processor(str(stock_folder), temporal_resample=mode)
        scene = SceneInput(frames=frames, n_frames=len(frames), start_s=0.0, end_s=1.0)
        inputs = processor.vision_inputs([ClipInput(scenes=(scene,))])
        arguments = (inputs[name].to(model.device) for name in VISION_INPUTS)
        found = model.model.get_video_features(*arguments, return_dict=True)
        features.append(found.pooler_output[0])
    torch.testing.assert_close(features[0], features[1], rtol=1e-3, atol=1e-4)


def test_a_processor_saves_and_loads_its_spec(tmp_path):
    tokenizer = tiny_tokenizer()
    processor = FlexiVideoProcessor(tokenizer, max_pixels=84 * 84, tau=0.4, caption_prompt="Tell.")
    processor.save_pretrained(tmp_path)
    assert FlexiVideoProcessor.from_pretrained(tmp_path).spec == processor.spec


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("config.json", '{"model_type": "llama"}', "llama"),
        ("config.json", "[1]", "list"),
        ("config.json", "{", "JSON"),
        ("model.safetensors", "short", "header"),
    ],
)
def test_a_checkpoint_that_is_none_is_refused_with_the_reason(
    stock_folder, tmp_path, file, content, named
):
    for source in stock_folder.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    (tmp_path / file).write_text(content)
    with pytest.raises(ModelError, match=named):
        load_model(str(tmp_path))


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"temporal_resample": "nearest"}, "nearest"),
        ({"temporal_resample": "pi"}, "temporal_patch_size"),
        ({"tau": -1.0}, "-1.0"),
        ({"text_position": "left"}, "left"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(changes, named):
    with pytest.raises(ValueError, match=named):
        tiny_flexivideo(**changes)


def test_more_tokens_than_the_context_are_not_generated():
    model = tiny_flexivideo(text_config={"max_position_embeddings": 16})
    read = torch.full((1, 12), 5)
    ask = {"attention_mask": torch.ones_like(read), "do_sample": False}
    with pytest.raises(ValueError, match=r"12 tokens came and up to 5 are to follow; .* 16"):
        model.generate(input_ids=read, max_new_tokens=5, **ask)
    assert model.generate(input_ids=read, max_new_tokens=4, **ask).shape[1] <= 16
