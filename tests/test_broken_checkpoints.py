"""A checkpoint that cannot be used is named, whatever is done with it; nothing is left behind."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import TEXT, reshard, save_stock

from flexivideo.checkpoints import check_checkpoint, load_model, load_processor
from flexivideo.conversion import convert_checkpoint
from flexivideo.errors import ModelError


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A stock checkpoint in several shards."""
    folder = save_stock(tmp_path_factory.mktemp("stock"))
    reshard(folder, 5)
    return folder


def lose(folder, name):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shard = folder / index["weight_map"].pop(name)
    tensors = load_file(shard)
    del tensors[name]
    save_file(tensors, shard, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def change(folder, name, tensor):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shard = folder / index["weight_map"][name]
    save_file(load_file(shard) | {name: tensor}, shard, {"format": "pt"})


def truncate(folder):
    shard = folder / "model-00003-of-00005.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])


def tell(folder, **fields):
    """Other words in a config.json; None: the field is gone."""
    path = folder / "config.json"
    told = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in told.items() if value is not None}))


def without_vision(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]
    (folder / "config.json").write_text(json.dumps(config))


def add_adapter(folder):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    save_file({"base.lora_A": torch.zeros(2)}, folder / "adapter.safetensors", {"format": "pt"})
    index["weight_map"]["base.lora_A"] = "adapter.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


QKV = "visual.blocks.1.attn.qkv.weight"
BREAKAGES = {
    "missing": (lambda f: lose(f, QKV), r"lacks tensor model\.visual\.blocks\.1\.attn\.qkv"),
    "misplaced": (
        lambda f: (f / "model-00002-of-00005.safetensors").write_bytes(
            (f / "model-00001-of-00005.safetensors").read_bytes()
        ),
        r"twice|lacks tensor",
    ),
    "misshapen": (
        lambda f: change(f, QKV, torch.zeros(3, 4)),
        r"attn\.qkv\.weight has the shape \(3, 4\); expected \(96, 32\)",
    ),
    "quantised": (lambda f: change(f, QKV, torch.zeros(96, 32, dtype=torch.int8)), "dtype I8"),
    "truncated": (truncate, r"model-00003-of-00005\.safetensors cannot be read"),
    "shard gone": (
        lambda f: (f / "model-00004-of-00005.safetensors").unlink(),
        "lacks model-00004",
    ),
    "adapter": (add_adapter, r"base\.lora_A"),
    "no vision": (without_vision, "no vision_config"),
    "pickle": (
        lambda f: [path.unlink() for path in f.glob("*.safetensors*")],
        "safetensors",
    ),
    "no map": (
        lambda f: (f / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": ["a.safetensors"]})
        ),
        "weight_map that is a list",
    ),
    "llama": (
        lambda f: tell(f, model_type="llama", vision_config=None),
        "model_type is 'llama'; expected flexivideo or qwen2_5_vl",
    ),
    "NaN": (lambda f: tell(f, tau=math.nan), "tau is nan"),
    "escaping": (
        lambda f: (f / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": {"a": "../a.safetensors"}})
        ),
        "beside it",
    ),
}


USES = {
    "convert": lambda folder, ours: convert_checkpoint(folder, ours),
    "load": lambda folder, _: load_model(folder),
    "check": lambda folder, _: check_checkpoint(folder),
}


@pytest.mark.parametrize("use", list(USES))
@pytest.mark.parametrize("broken", list(BREAKAGES))
def test_a_broken_checkpoint_is_named_and_leaves_nothing_behind(source, tmp_path, broken, use):
    folder = tmp_path / "stock"
    shutil.copytree(source, folder)
    breaks, named = BREAKAGES[broken]
    breaks(folder)
    with pytest.raises(ModelError, match=named):
        USES[use](str(folder), tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["stock"]


def lose_word(folder, word):
    """The tokenizer without a special token."""
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace(word, word.replace("vi", "ti")))
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace(word, word.replace("vi", "ti")))


def template(folder, text):
    """Another chat template; None: there is none."""
    path = folder / "chat_template.jinja"
    path.unlink()
    if text is not None:
        path.write_text(text)


VOCABULARIES = {
    "no template": (lambda f: template(f, None), "has no chat template; expected one in"),
    "torn template": (lambda f: template(f, "{% for"), "its chat template fails"),
    "a template's own refusal": (
        lambda f: template(f, "{{ raise_exception('no system turn') }}"),
        r"its chat template fails \(TemplateError: no system turn\)",
    ),
    "no place": (
        lambda f: template(f, "{{ messages[0]['role'] }}"),
        r"places 0 <\|video_pad\|> for a video; expected one",
    ),
    "no video token": (lambda f: lose_word(f, "<|video_pad|>"), r"has no <\|video_pad\|>"),
    "no start": (lambda f: lose_word(f, "<|vision_start|>"), r"has no <\|vision_start\|>"),
    "no end": (lambda f: lose_word(f, "<|vision_end|>"), r"has no <\|vision_end\|>"),
    "another number": (lambda f: tell(f, video_token_id=5), r"says 5; expected the same"),
    "fewer words": (
        lambda f: tell(f, text_config=TEXT | {"vocab_size": 256}),
        r"is token \d+, and the model has 256",
    ),
}


@pytest.mark.parametrize("broken", list(VOCABULARIES))
def test_words_that_are_not_the_models_are_named(tmp_path, broken):
    folder = save_stock(tmp_path / "stock")
    breaks, named = VOCABULARIES[broken]
    breaks(folder)
    with pytest.raises(ModelError, match=named):
        load_processor(str(folder))


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"dtype": "fp16"}, "dtype is 'fp16'; expected float32, bfloat16, float16"),
        ({"temporal_resample": "nearest"}, "nearest"),
    ],
)
def test_what_a_model_cannot_be_loaded_as_is_named(source, asked, named):
    with pytest.raises(ModelError, match=named):
        load_model(str(source), **asked)


def test_taps_that_the_kernel_cannot_be_expanded_to_are_named(source, tmp_path):
    convert_checkpoint(str(source), tmp_path / "ours")
    tell(tmp_path / "ours", t_init=5)
    with pytest.raises(ModelError, match="t_init is 5"):
        load_model(str(tmp_path / "ours"), temporal_resample="pi")
