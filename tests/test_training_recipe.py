"""What a step does to the weights: the paper's recipe, written out by hand in float64.

Clipped gradients, AdamW with the decay of matrices alone, a rate that rises and then falls as a
cosine; over steps enough to see each of them.
"""

import math

import numpy as np
import pytest
import torch
from tiny_checkpoints import noise_clips, save_stock

from flexivideo.checkpoints import load_processor
from flexivideo.training_batches import make_example
from flexivideo.training_objective import TrainingModel
from jobs.finetuning.loader import Share, make_micro_batch
from jobs.finetuning.settings import FinetuneSettings, OptimizationSettings
from jobs.finetuning.stepper import Stepper

PEAK, DECAY, MAX_NORM = 1e-3, 0.1, 0.5
N_STEPS, WARM_UP = 6, 0.3  # 1.8 steps of them rise, so two do
# A third of the way up, two thirds, the peak; then half a cosine over four steps.
RATES = [1 / 3, 2 / 3, 1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

# A float32 weight of about one, rounded.
ROUNDED = 2e-7


class AdamWByHand:
    """One parameter's moments, in float64."""

    def __init__(self, decay: float) -> None:
        self._decay, self._n, self._mean, self._square = decay, 0, 0.0, 0.0

    def moved(self, weight: np.ndarray, gradient: np.ndarray, lr: float) -> np.ndarray:
        self._n += 1
        self._mean = BETA_1 * self._mean + (1 - BETA_1) * gradient
        self._square = BETA_2 * self._square + (1 - BETA_2) * gradient**2
        mean = self._mean / (1 - BETA_1**self._n)
        square = self._square / (1 - BETA_2**self._n)
        return weight - lr * (self._decay * weight + mean / (np.sqrt(square) + EPSILON))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return str(save_stock(tmp_path_factory.mktemp("start")))


@pytest.fixture
def processor(start):
    return load_processor(start, max_pixels=84 * 84)


@pytest.fixture
def stepper(start, processor):
    settings = FinetuneSettings(
        model=start,
        optimization=OptimizationSettings(
            steps=N_STEPS,
            lr=PEAK,
            warm_up=WARM_UP,
            weight_decay=DECAY,
            max_grad_norm=MAX_NORM,
        ),
    )
    return Stepper(settings, processor, start)


def shares(processor, rng):
    """Steps of two micro-batches, of one length after another, so that no two gradients agree."""
    for step in range(N_STEPS):
        captions = ["A dog.", "Rain on a roof." * (1 + step % 3)]
        micro_batches, n_learned = [], 0
        for clip, caption in zip(noise_clips(processor, rng, (1 + step, 2)), captions, strict=True):
            example = make_example(processor, clip, [("Say.", caption)])
            n_learned += int((example.labels[1:] >= 0).sum())
            micro_batches.append(make_micro_batch(processor, [example], with_vectors=False))
        yield Share(
            micro_batches=tuple(micro_batches),
            n_clips=2,
            n_learned=n_learned,
            n_visual=0,
            left_out=(),
        )


def gradients(model, share):
    """Of the mean loss of a learned token, by name."""
    for micro in share.micro_batches:
        (TrainingModel(model)(micro.captions, None, None).token_loss / share.n_learned).backward()
    found = {name: p.grad.double().numpy().copy() for name, p in model.named_parameters()}
    model.zero_grad()
    return found


def weights(model):
    return {name: p.detach().double().numpy().copy() for name, p in model.named_parameters()}


def test_steps_are_the_papers_recipe(stepper, processor, rng):
    model = stepper.model
    by_hand = {
        name: AdamWByHand(DECAY if p.ndim == 2 and "embed" not in name else 0.0)
        for name, p in model.named_parameters()
    }
    norms = []
    for step, share in enumerate(shares(processor, rng)):
        before, gradient = weights(model), gradients(model, share)
        norm = math.sqrt(sum(float((part**2).sum()) for part in gradient.values()))
        metrics = stepper.step(step, share, n_steps=N_STEPS)
        lr = PEAK * RATES[step]
        assert metrics["lr"] == pytest.approx(lr)
        assert metrics["grad_norm"] == pytest.approx(norm, rel=1e-5)
        norms.append(norm)
        clipped = min(1.0, MAX_NORM / norm)
        for name, found in weights(model).items():
            expected = by_hand[name].moved(before[name], gradient[name] * clipped, lr)
            np.testing.assert_allclose(found, expected, atol=ROUNDED, err_msg=f"{step} {name}")
    assert min(norms) > MAX_NORM  # else nothing would have been clipped
    assert max(norms) > 1.2 * min(norms)  # nor would it have shown: AdamW divides a scale away


def test_the_rate_that_is_reported_is_the_one_that_is_applied(stepper, processor, rng):
    share = next(shares(processor, rng))
    reported = stepper.step(1, share, n_steps=N_STEPS)["lr"]
    assert {g["lr"] for o in stepper.optimizers for g in o.param_groups} == {reported}
    assert not any(p.grad is not None and torch.any(p.grad) for p in stepper.model.parameters())
