"""The loss is the global batch's, however it is cut; the contrast is symmetric InfoNCE."""

import numpy as np
import pytest
import torch
from tiny_checkpoints import noise_clips, tiny_flexivideo, tiny_processor

from flexivideo.embedding import embed_inputs, embed_texts, text_vector_inputs
from flexivideo.prompts import EMBEDDING_PROMPT
from flexivideo.training_batches import (
    IGNORED,
    caption_batch,
    clip_vector_inputs,
    make_example,
)
from flexivideo.training_objective import TrainingModel, contrast
from flexivideo.training_optimizers import learning_rate_scale, make_optimizers

CAPTIONS = ["A dog.", "A brown cat sleeps.", "Rain."]


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture(scope="module")
def training_model():
    return TrainingModel(tiny_flexivideo(seed=5))


@pytest.fixture
def examples(processor, rng):
    return [
        make_example(processor, clip, [("Describe.", caption)])
        for clip, caption in zip(noise_clips(processor, rng, (6, 1, 3)), CAPTIONS, strict=True)
    ]


def with_vectors(processor, examples):
    return (
        caption_batch(processor, examples),
        clip_vector_inputs(processor, [example.clip for example in examples]),
        text_vector_inputs(processor, [example.caption for example in examples]),
    )


@torch.no_grad()
def test_the_token_loss_is_the_models_own(processor, training_model, examples):
    batch = caption_batch(processor, examples)
    n_learned = int((batch["labels"][:, 1:] != IGNORED).sum())
    ours = training_model(batch, None, None).token_loss / n_learned
    torch.testing.assert_close(ours, training_model.model(**batch).loss)


def test_micro_batches_add_up_to_the_whole(processor, training_model, examples):
    def gradients(parts):
        training_model.zero_grad()
        losses = [training_model(caption_batch(processor, p), None, None).token_loss for p in parts]
        sum(losses).backward()
        gradient = [p.grad for p in training_model.parameters() if p.grad is not None]
        return sum(losses).detach(), torch.cat([part.flatten() for part in gradient])

    whole_loss, whole = gradients([examples])
    cut_loss, cut = gradients([examples[:1], examples[1:]])
    torch.testing.assert_close(cut_loss, whole_loss)
    assert torch.linalg.norm(cut - whole) < 1e-5 * torch.linalg.norm(whole)


@torch.no_grad()
def test_vectors_are_those_that_indexing_stores(processor, training_model, examples):
    outputs = training_model(*with_vectors(processor, examples))
    model = training_model.model
    for row, example in enumerate(examples):
        alone = processor(text=processor.prompt(EMBEDDING_PROMPT), clips=[example.clip])
        expected = embed_inputs(model, **alone)[0]
        torch.testing.assert_close(outputs.clip_vectors[row], expected, atol=1e-5, rtol=0)
    expected = embed_texts(model, processor, CAPTIONS)
    torch.testing.assert_close(outputs.text_vectors, expected, atol=1e-5, rtol=0)


def test_a_surrogate_carries_the_contrasts_gradient_back(processor, training_model, examples):
    parts = [examples[:2], examples[2:]]

    def vectors(part):
        outputs = training_model(*with_vectors(processor, part))
        return outputs.clip_vectors, outputs.text_vectors

    def gradient():
        return torch.cat(
            [p.grad.flatten() for p in training_model.parameters() if p.grad is not None]
        )

    training_model.zero_grad()
    contrast(*vectors(examples), CAPTIONS).backward()
    direct = gradient()

    training_model.zero_grad()
    with torch.no_grad():
        clips, texts = (torch.cat(kind) for kind in zip(*map(vectors, parts), strict=True))
    contrast(clips.requires_grad_(), texts.requires_grad_(), CAPTIONS).backward()
    for part, clip_pull, text_pull in zip(
        parts, clips.grad.split([2, 1]), texts.grad.split([2, 1]), strict=True
    ):
        clip_vectors, text_vectors = vectors(part)
        ((clip_vectors * clip_pull).sum() + (text_vectors * text_pull).sum()).backward()
    assert torch.linalg.norm(gradient() - direct) < 1e-4 * torch.linalg.norm(direct)


def test_contrast_is_symmetric_infonce(rng):
    clips, texts = (
        torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(3, 8))), dim=1)
        for _ in range(2)
    )
    scores = np.exp((clips @ texts.T).numpy() / 0.07)
    by_clip = -np.log(np.diag(scores) / scores.sum(axis=1)).mean()
    by_text = -np.log(np.diag(scores) / scores.sum(axis=0)).mean()
    loss = contrast(clips, texts, CAPTIONS)
    assert float(loss) == pytest.approx((by_clip + by_text) / 2)
    assert float(contrast(texts, clips, CAPTIONS)) == pytest.approx(float(loss))


def test_equal_captions_are_one_anothers(rng):
    clips, texts = (
        torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(3, 8))), dim=1)
        for _ in range(2)
    )
    swapped = clips[[2, 1, 0]]  # the first and the third
    same, different = ["A.", "B.", "A."], ["A.", "B.", "C."]
    assert contrast(clips, texts, same) == pytest.approx(contrast(swapped, texts, same))
    assert contrast(clips, texts, different) != pytest.approx(contrast(swapped, texts, different))


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    scales = [learning_rate_scale(step, n_steps=1000, warm_up=0.03) for step in range(1000)]
    peak = int(np.argmax(scales))
    assert peak == 30
    assert scales[peak] == 1
    assert (np.diff(scales[: peak + 1]) > 0).all()
    assert (np.diff(scales[peak:]) < 0).all()
    assert 0 < scales[-1] < 1e-4
    assert scales[515] == pytest.approx(0.5, abs=1e-3)


def test_the_kernels_of_patches_go_slowly(training_model):
    """A step of AdamW moves each weight alike, and a kernel adds up its thousands."""
    (kernel,) = (p for p in training_model.parameters() if p.ndim > 2)
    (rate,) = {
        group["lr"]
        for optimizer in make_optimizers(training_model, name="muon", lr=1e-2, weight_decay=0.0)
        for group in optimizer.param_groups
        if any(p is kernel for p in group["params"])
    }
    assert rate == pytest.approx(4e-3 / kernel[0].numel() ** 0.5)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_trained_parameter_is_moved_once(training_model, name):
    model = training_model.model
    optimizers = make_optimizers(model, name=name, lr=1e-3, weight_decay=0.1)
    moved = [p for o in optimizers for group in o.param_groups for p in group["params"]]
    assert len(moved) == len({id(p) for p in moved})
    assert {id(p) for p in moved} == {id(p) for p in model.parameters()}
