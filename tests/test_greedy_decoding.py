from collections import Counter

import pytest
import torch
from tiny_checkpoints import noise_clips, tiny_flexivideo, tiny_processor

from flexivideo.shared_prefill import SharedPrefill, around_clip

N_NEW = 40


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture
def clips(processor, rng):
    return noise_clips(processor, rng, range(1, 13))


@pytest.mark.parametrize("text_position", ["all_axes", "spatial"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"repetition_penalty": 1.3},
        {"no_repeat_ngram_size": 2},
        {"bad_words_ids": [[65, 66], [97]], "min_new_tokens": 5},
        {"forced_eos_token_id": 99, "exponential_decay_length_penalty": (5, 1.01)},
    ],
    ids=lambda asked: " ".join(asked),
)
@torch.inference_mode()
def test_says_what_generate_says_up_to_each_end(processor, clips, asked, text_position):
    """With ends so frequent that most clips leave the batch, at different times."""
    model = tiny_flexivideo(seed=3).double()  # so that no rounding decides
    model.config.text_position = text_position
    for parameter in model.model.language_model.layers.parameters():
        if parameter.ndim > 1:
            parameter.mul_(4)  # so that texts do not repeat one word
    inputs = processor(text=processor.prompt("Describe."), clips=clips)
    n_read = inputs["input_ids"].shape[1]
    for name, value in asked.items():
        setattr(model.generation_config, name, value)

    def generated():
        return model.generate(**inputs, max_new_tokens=N_NEW, do_sample=False)[:, n_read:]

    often = Counter(generated()[:, 3:].flatten().tolist()).most_common(8)
    model.generation_config.eos_token_id = ends = [token for token, _ in often]
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    head, tail = around_clip(processor.prompt("Describe."))
    answers = SharedPrefill(
        model, processor, clips, processor.vision_inputs(clips), head=head
    ).generate(tail, max_new_tokens=N_NEW)
    expected = []
    for row in generated().tolist():
        end = next((i for i, token in enumerate(row) if token in ends), N_NEW - 1)
        expected.append(row[: end + 1])
    assert answers == expected
    assert len({len(answer) for answer in answers}) > 5  # they do end apart
