"""Labels stand on answers alone, and which examples a step sees depends on seed and step alone."""

import numpy as np
import pytest
import torch
from tiny_checkpoints import noise_clips, tiny_processor

from flexivideo.training_batches import IGNORED, caption_batch, make_example, step_examples

TURNS = [("What is it?", "A dog, brown, naïve."), ("Which?", "The left one.")]


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture
def clips(processor, rng):
    return noise_clips(processor, rng, (6, 1, 3))


@pytest.mark.parametrize(("n_examples", "n_step"), [(10, 4), (3, 8), (7, 7), (1, 2)])
def test_steps_are_permutations_of_all_examples_one_after_another(n_examples, n_step):
    n_steps = 5 * n_examples
    seen = np.concatenate(
        [step_examples(s, n_examples=n_examples, n_step=n_step, seed=3) for s in range(n_steps)]
    )
    epochs = seen[: len(seen) // n_examples * n_examples].reshape(-1, n_examples)
    assert (np.sort(epochs, axis=1) == np.arange(n_examples)).all()
    if n_examples > 1:
        assert len(np.unique(epochs, axis=0)) > 1


def test_another_seed_gives_another_order():
    orders = [step_examples(0, n_examples=50, n_step=50, seed=seed) for seed in (0, 0, 1)]
    assert (orders[0] == orders[1]).all()
    assert (orders[0] != orders[2]).any()


def test_learned_are_the_answers_and_the_tokens_that_end_them(processor, clips):
    end = processor.tokenizer.eos_token
    for clip in clips:
        example = make_example(processor, clip, TURNS)
        learned = example.labels[example.labels != IGNORED]
        said = "".join(answer + end for _, answer in TURNS)
        assert processor.tokenizer.decode(learned) == said
        assert example.caption == TURNS[-1][1]


def test_labels_of_a_batch_stand_on_their_own_tokens(processor, clips):
    examples = [make_example(processor, clip, TURNS[: 1 + k % 2]) for k, clip in enumerate(clips)]
    batch = caption_batch(processor, examples)
    learned = batch["labels"] != IGNORED
    assert torch.equal(batch["labels"][learned], batch["input_ids"][learned])
    for row, example in enumerate(examples):
        assert int(learned[row].sum()) == int((example.labels != IGNORED).sum())
        assert int(batch["attention_mask"][row].sum()) == example.n_tokens


def test_what_stands_before_an_answer_is_what_generation_begins_with(processor, clips):
    question, answer = TURNS[0]
    example = make_example(processor, clips[0], [(question, answer)])
    assert example.text == processor.prompt(question) + answer + processor.tokenizer.eos_token


@pytest.mark.parametrize("turn", [("<|video_pad|>?", "A dog."), ("What?", "A dog.<|im_end|>")])
def test_texts_cannot_forge_special_tokens(processor, clips, turn):
    with pytest.raises(ValueError, match="special token"):
        make_example(processor, clips[0], [turn])
