"""The checkpoint in the package: it loads, it is small, and it was trained."""

import numpy as np
import pytest
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

import flexivideo.modeling_flexivideo
import flexivideo.processing_flexivideo  # noqa: F401 - both register with the Auto classes
from flexivideo.plain_world.judgement import ATTRIBUTES
from flexivideo.plain_world.words import parse_caption
from flexivideo.visual_spec import EMBEDDED_CHECKPOINT, VisualSpec
from jobs.embedded_accuracy import measure_rendered
from jobs.embedded_architecture import make_processor

# Well below what the model card gives, well above what always saying the commonest word reaches.
FLOORS = {"light": 0.93, "detail": 0.85, "colour": 0.92, "amount": 0.7, "heading": 0.72}
EXACT_FLOORS = {"1 shots": 0.55, "2 shots": 0.2, "3 shots": 0.08}
N_CLIPS = 240


@pytest.fixture(scope="module")
def figures():
    return measure_rendered(None, n_clips=N_CLIPS, seed=77)


@pytest.mark.parametrize("attribute", FLOORS)
def test_words_are_right_far_beyond_the_majority_answer(figures, attribute):
    """Random weights, or one constant caption, reach the majority's share at best."""
    figure = figures["1 shots"][attribute]
    assert figure["accuracy"] >= max(FLOORS[attribute], figure["majority"] + 0.1), figure
    assert figure["balanced"] >= FLOORS[attribute] - 0.05, figure


def test_no_way_is_left_out(figures):
    """Each heading is said rightly where chance would be one in seven."""
    for word, of in figures["1 shots"]["heading"]["by_word"].items():
        right, seen = map(int, of.split("/"))
        assert right / seen > 0.4, word


def test_coloured_shapes_are_named(figures):
    """Fifteen shapes and none of them: their balanced accuracy by chance is a sixteenth."""
    assert figures["1 shots"]["thing"]["balanced"] > 0.4


@pytest.mark.parametrize("shots", EXACT_FLOORS)
def test_whole_captions_are_right_often(figures, shots):
    exact = figures[shots]["exact"]
    assert exact["scored"] > N_CLIPS / 5
    assert exact["accuracy"] >= EXACT_FLOORS[shots]


def test_text_finds_clips(figures):
    """Among 500 clips that are described differently, chance is one in five hundred."""
    assert figures["recall_at_1"]["clips"] == 500
    assert figures["recall_at_1"]["recall"] > 0.35


def test_the_checkpoint_is_small():
    assert sum(path.stat().st_size for path in EMBEDDED_CHECKPOINT.iterdir()) <= 8e6


def test_the_auto_classes_load_it():
    config = AutoConfig.from_pretrained(EMBEDDED_CHECKPOINT)
    model = AutoModelForImageTextToText.from_pretrained(EMBEDDED_CHECKPOINT)
    processor = AutoProcessor.from_pretrained(EMBEDDED_CHECKPOINT)
    assert config.model_type == model.config.model_type == "flexivideo"
    frames = np.random.default_rng(0).integers(0, 255, (4, 90, 160, 3), np.uint8)
    batch = processor(text=processor.prompt(config.caption_prompt), videos=[frames])
    tokens = model.float().generate(**batch, max_new_tokens=48, do_sample=False)
    answer = tokens[0, batch["input_ids"].shape[1] :]
    assert parse_caption(processor.tokenizer.decode(answer, skip_special_tokens=True))


def test_it_says_what_it_wants_to_see():
    spec, made = VisualSpec.from_pretrained(None), make_processor().spec
    assert spec == made
    assert spec.caption_prompt


@pytest.mark.parametrize("prompt", ["Qu'est-ce que c'est ? 映像 🎬", "\x00\n\t", "a" * 3000, ""])
def test_no_prompt_is_unknown_to_the_tokenizer(prompt):
    tokenizer = AutoProcessor.from_pretrained(EMBEDDED_CHECKPOINT).tokenizer
    assert tokenizer.decode(tokenizer(prompt)["input_ids"]) == prompt


def test_the_model_card_is_there():
    card = (EMBEDDED_CHECKPOINT / "MODEL_CARD.md").read_text(encoding="utf-8")
    for name in ("jobs.train_embedded", "seed", "balanced", "majority", *ATTRIBUTES):
        assert name in card
