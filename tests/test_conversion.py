"""A converted checkpoint is the source, and says what it is."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import TEXT, VISION, reshard, save_stock, tiny_flexivideo, tiny_tokenizer
from transformers import AutoModelForImageTextToText, AutoTokenizer
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

from flexivideo.checkpoint_tensors import list_tensors
from flexivideo.checkpoints import load_model, load_processor
from flexivideo.conversion import PATCH_EMBEDDING, convert_checkpoint
from flexivideo.errors import ModelError
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.temporal_kernel import expand_kernel
from jobs.peak_memory import peak_bytes

DEFAULT_3B = Path(__file__).parents[2] / "shared" / "models" / "qwen2.5-vl-3b-config"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A stock checkpoint in several shards."""
    folder = save_stock(tmp_path_factory.mktemp("stock"))
    reshard(folder, 5)
    return folder


def two_frame_logits(model, processor, *, n_scenes):
    """Logits for one clip of two-frame scenes at two frames a second."""
    rng = np.random.default_rng(0)
    stills = rng.integers(0, 256, (n_scenes, 56, 56, 3)).astype(np.uint8)
    batch = processor(text=processor.prompt("Tell."), videos=[stills.repeat(2, axis=0)], fps=2.0)
    assert batch["video_grid_thw"][0, 0] == n_scenes
    if model.config.model_type != "flexivideo":
        del batch["scene_start_s"]
        batch["second_per_grid_ts"] = torch.tensor([1.0])
    with torch.inference_mode():
        return model(**batch).logits


def assert_same_logits(stock, ours, processor):
    """For one scene; for several too once the text stands where transformers 5.23 places it."""
    for n_scenes, position in ((1, "all_axes"), (1, "spatial"), (4, "spatial")):
        ours.config.text_position = position
        expected = two_frame_logits(stock, processor, n_scenes=n_scenes)
        found = two_frame_logits(ours, processor, n_scenes=n_scenes)
        assert (found - expected).abs().max() < 1e-5


def test_tei_gives_the_source_bit_for_bit_in_the_same_shards(source, tmp_path):
    convert_checkpoint(str(source), tmp_path / "ours")
    shards = sorted(path.name for path in source.glob("*.safetensors"))
    assert len(shards) == 5
    assert shards == sorted(path.name for path in (tmp_path / "ours").glob("*.safetensors"))
    for shard in shards:
        old, new = load_file(source / shard), load_file(tmp_path / "ours" / shard)
        assert list(old) == list(new)
        assert all(torch.equal(old[name], new[name]) for name in old)


def test_what_the_source_says_of_generation_and_words_is_kept(tmp_path):
    """Qwen2.5-VL's penalty, and the second token that ends a text."""
    source = save_stock(tmp_path / "stock")
    asked = {"eos_token_id": [3, 4], "repetition_penalty": 1.05, "pad_token_id": 3}
    (source / "generation_config.json").write_text(json.dumps(asked))
    convert_checkpoint(str(source), tmp_path / "ours")
    told = load_model(str(tmp_path / "ours")).generation_config
    assert (told.eos_token_id, told.repetition_penalty) == ([3, 4], 1.05)
    old, new = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("stock", "ours"))
    assert old.get_vocab() == new.get_vocab()
    assert old.chat_template == new.chat_template


def test_the_template_of_older_checkpoints_has_a_file_of_its_own(tmp_path):
    folder = save_stock(tmp_path / "stock")
    path = folder / "chat_template.jinja"
    expected = load_processor(str(folder)).prompt("Tell.")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": path.read_text()}))
    path.unlink()
    assert load_processor(str(folder)).prompt("Tell.") == expected


def test_no_folder_of_anybody_elses_is_touched(source, tmp_path):
    mine = tmp_path / "ours.unfinished"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    convert_checkpoint(str(source), tmp_path / "ours")
    assert (mine / "thesis.txt").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "ours.unfinished"]


def test_tei_reproduces_the_sources_logits_on_two_frame_scenes(source, tmp_path):
    """Section "Temporal Expansion Initialization": at T_old frames nothing has changed."""
    convert_checkpoint(str(source), tmp_path / "ours")
    stock = Qwen2_5_VLForConditionalGeneration.from_pretrained(source).eval()
    ours, report = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[kind]
    processor = FlexiVideoProcessor.from_pretrained(tmp_path / "ours")
    assert_same_logits(stock, ours.eval(), processor)


@pytest.mark.parametrize(("mode", "t_init"), [("tei", 6), ("pi", 6), ("pi_const", 4)])
def test_converting_and_loading_directly_give_the_same_model(source, tmp_path, mode, t_init):
    convert_checkpoint(str(source), tmp_path / "ours", temporal_resample=mode, t_init=t_init)
    converted = load_model(str(tmp_path / "ours"))
    assert (converted.config.temporal_resample, converted.config.t_init) == (mode, t_init)
    assert load_processor(str(tmp_path / "ours")).spec.temporal_resample == mode
    if t_init == 6:
        direct = load_model(str(source), temporal_resample=mode).state_dict()
        for name, tensor in converted.state_dict().items():
            assert torch.equal(tensor, direct[name]), name


@pytest.mark.parametrize("t_init", [2, 4, 6, 8])
def test_the_expanded_kernel_is_the_papers(source, tmp_path, t_init):
    """W_init[t] = W_old[t mod T_old] / r, and nothing else changes."""
    written = convert_checkpoint(
        str(source), tmp_path / "ours", temporal_resample="pi", t_init=t_init
    )
    assert written.shapes[PATCH_EMBEDDING][2] == t_init
    folders = (source, tmp_path / "ours")
    old, new = (load_model(str(folder), device="cpu").state_dict() for folder in folders)
    expected = expand_kernel(old.pop(PATCH_EMBEDDING).double().numpy(), t_init)
    assert torch.equal(new.pop(PATCH_EMBEDDING), torch.from_numpy(expected).float())
    assert all(torch.equal(new[name], old[name]) for name in old)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_checkpoint_keeps_its_dtype(tmp_path, dtype):
    folder = save_stock(tmp_path / "stock")
    half = {k: v.to(dtype) for k, v in load_file(folder / "model.safetensors").items()}
    save_file(half, folder / "model.safetensors", {"format": "pt"})
    convert_checkpoint(str(folder), tmp_path / "ours", temporal_resample="pi")
    written = load_file(tmp_path / "ours" / "model.safetensors")
    assert {tensor.dtype for tensor in written.values()} == {dtype}


def test_the_3b_at_reduced_width_with_its_own_names_and_tokenizer(tmp_path):
    """The published configuration, tokenizer, template and names; only the widths are smaller."""
    published = Path(os.environ.get("FLEXIVIDEO_TEST_3B", DEFAULT_3B))
    if not published.is_dir():
        pytest.skip(f"no configuration of Qwen2.5-VL-3B in {published}; set FLEXIVIDEO_TEST_3B")
    folder = tmp_path / "stock"
    shutil.copytree(published, folder)
    folder.chmod(0o755)
    config = json.loads((folder / "config.json").read_text())
    config |= {name: TEXT[name] for name in TEXT if name in config}
    config["num_hidden_layers"] = config["max_window_layers"] = 2
    config["rope_scaling"]["mrope_section"] = TEXT["rope_parameters"]["mrope_section"]
    config["vision_config"] |= {
        name: VISION[name] for name in VISION if name != "tokens_per_second"
    }
    (folder / "config.json").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    random = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    random.save_pretrained(tmp_path / "weights")
    shutil.copyfile(tmp_path / "weights" / "model.safetensors", folder / "model.safetensors")
    names = set(load_file(folder / "model.safetensors"))
    assert {
        "visual.patch_embed.proj.weight",
        "visual.blocks.0.attn.qkv.weight",
        "visual.merger.ln_q.weight",
        "model.embed_tokens.weight",
        "model.layers.1.self_attn.q_proj.bias",
        "model.norm.weight",
    } <= names
    reshard(folder, 3)

    written = convert_checkpoint(str(folder), tmp_path / "ours")
    assert len(written.shards) == 3
    before, after = (AutoTokenizer.from_pretrained(where) for where in (folder, tmp_path / "ours"))
    text = "A bright, detailed view.\n<|vision_start|><|video_pad|><|vision_end|> ünïcode 漢字"
    assert before(text)["input_ids"] == after(text)["input_ids"]
    stock, ours = (
        AutoModelForImageTextToText.from_pretrained(where, dtype=torch.float32).eval()
        for where in (folder, tmp_path / "ours")
    )
    processor = FlexiVideoProcessor.from_pretrained(tmp_path / "ours")
    assert processor.chat_template == before.chat_template
    assert_same_logits(stock, ours, processor)


def test_memory_is_that_of_one_shard(tmp_path):
    """A checkpoint of any size converts on a small machine."""
    folder = save_stock(
        tmp_path / "stock", text_config={"hidden_size": 32, "intermediate_size": 2**16}
    )
    reshard(folder, 6)
    sizes = [path.stat().st_size for path in folder.glob("*.safetensors")]
    load_processor(str(folder))  # what the tokenizer costs is paid
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = peak_bytes()
    convert_checkpoint(str(folder), tmp_path / "ours")
    assert peak_bytes() - before < 1.3 * max(sizes)
    assert sum(sizes) > 3 * max(sizes)  # else this would show nothing


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"t_init": 5}, "t_init is 5"),
        ({"t_init": 0}, "t_init is 0"),
        ({"temporal_resample": "nearest"}, "nearest"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_written(
    source, tmp_path, changes, named
):
    with pytest.raises(ModelError, match=named):
        convert_checkpoint(str(source), tmp_path / "ours", **changes)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(source, tmp_path):
    (tmp_path / "ours").mkdir()
    with pytest.raises(ModelError, match="free"):
        convert_checkpoint(str(source), tmp_path / "ours")


def test_an_expanded_checkpoint_is_not_expanded_again(tmp_path):
    model = tiny_flexivideo(temporal_resample="pi", vision_config={"temporal_patch_size": 6})
    model.save_pretrained(tmp_path / "pi")
    tiny_tokenizer().save_pretrained(tmp_path / "pi")
    with pytest.raises(ModelError, match="expanded kernel"):
        convert_checkpoint(str(tmp_path / "pi"), tmp_path / "ours")


def test_the_headers_know_every_tensor(source):
    model = load_model(str(source))
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    shapes = dict(list_tensors(source).shapes)
    del expected["lm_head.weight"]  # tied to the embedding
    assert shapes == expected
