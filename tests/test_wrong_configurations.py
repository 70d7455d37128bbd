"""Values in a checkpoint's JSON files that cannot be meant are named, whatever is done with it."""

import json
import shutil

import pytest
from tiny_checkpoints import save_stock

from flexivideo.checkpoints import check_checkpoint, load_model, load_processor
from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.conversion import convert_checkpoint
from flexivideo.errors import ModelError
from flexivideo.visual_spec import VisualSpec


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return save_stock(tmp_path_factory.mktemp("stock"))


def tell(folder, *, file="config.json", part=None, **fields):
    path = folder / file
    document = json.loads(path.read_text()) if path.is_file() else {}
    (document[part] if part else document).update(fields)
    path.write_text(json.dumps(document))


def vision(**fields):
    return {"part": "vision_config", **fields}


def text(**fields):
    return {"part": "text_config", **fields}


def pixels(**fields):
    return {"file": "preprocessor_config.json", **fields}


WRONG = [
    ({"temporal_resample": "foo"}, "temporal_resample is 'foo'; expected one of tei, pi, pi_const"),
    ({"tau": "0.2"}, "tau is '0.2'; expected a number"),
    ({"sample_fps": True}, "sample_fps is True; expected a number"),
    ({"t_init": 2.5}, "t_init is 2.5; expected a whole number above zero"),
    (vision(patch_size="14"), "patch_size is '14'; expected a whole number above zero"),
    (vision(patch_size=None), "patch_size is None; expected a whole number above zero"),
    (vision(spatial_merge_size=0), "spatial_merge_size is 0; expected a whole number above zero"),
    (vision(num_heads=0), "num_heads is 0; expected 1 or more"),
    (vision(num_heads=3), "num_heads is 3 and hidden_size 32; expected heads whose width"),
    (vision(window_size=20), "window_size is 20; expected at least a token's 28 pixels"),
    (vision(out_hidden_size=8), "out_hidden_size is 8; expected the language model's .* 32"),
    (
        text(vocab_size=200),
        r"pad_token_id is \d+; expected a token of the vocabulary, below .* 200",
    ),
    (text(num_attention_heads=5), "num_attention_heads is 5, num_key_value_heads 1"),
    (
        text(rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 1]}),
        r"mrope_section is \[1, 1, 1\]; expected three numbers that add up to 16 / 2",
    ),
    (pixels(min_pixels="3136"), "min_pixels is '3136'; expected a whole number above zero"),
    (pixels(max_pixels=1.5), "max_pixels is 1.5; expected a whole number above zero"),
    (pixels(size=[56, 56]), "size is a list; expected an object"),
]


@pytest.mark.parametrize(("fields", "named"), WRONG)
def test_a_value_that_cannot_be_meant_is_named(source, tmp_path, fields, named):
    folder = shutil.copytree(source, tmp_path / "stock")
    tell(folder, **fields)
    for use in (load_model, load_processor, check_checkpoint):
        with pytest.raises(ModelError, match=named):
            use(str(folder))
    with pytest.raises(ModelError, match=named):
        convert_checkpoint(str(folder), tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["stock"]


@pytest.mark.parametrize("content", ["{torn", "[]", '{"max_new_tokens": -1}'])
def test_generation_settings_that_are_none_are_named(source, tmp_path, content):
    folder = shutil.copytree(source, tmp_path / "stock")
    (folder / "generation_config.json").write_text(content)
    for use in (load_model, check_checkpoint):
        with pytest.raises(ModelError, match=r"generation_config\.json"):
            use(str(folder))


def test_a_rate_without_a_fraction_is_one(source, tmp_path):
    folder = shutil.copytree(source, tmp_path / "stock")
    tell(folder, sample_fps=4, tau=1)
    spec = VisualSpec.from_pretrained(str(folder))
    assert (spec.sample_fps, spec.tau) == (4.0, 1.0)
    config = load_model(str(folder)).config
    assert (config.sample_fps, config.tau) == (4.0, 1.0)


def test_a_configuration_without_a_word_is_still_one():
    """transformers makes one to see what differs from it."""
    assert FlexiVideoConfig().tau == 0.2


def test_taps_that_no_memory_holds_are_refused_before_anything_is_written(source, tmp_path):
    with pytest.raises(ModelError, match="t_init is 10000000000; expected at most 256 taps"):
        convert_checkpoint(
            str(source), tmp_path / "ours", temporal_resample="pi", t_init=10_000_000_000
        )
    assert list(tmp_path.iterdir()) == []
