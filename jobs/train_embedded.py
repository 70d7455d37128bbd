"""Train the embedded checkpoint from nothing, on rendered shots alone.

    python -m jobs.train_embedded --out flexivideo/embedded

One thread trains and a second process renders. Seeds are fixed and steps are counted, so the same
machine gives the same weights. At the end it prints the accuracy on held-out rendered shots;
``python -m jobs.embedded_accuracy`` prints it for any footage. The model card has the figures.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from jobs.embedded_accuracy import measure_rendered
from jobs.embedded_architecture import make_model, make_processor
from jobs.training_clips import RenderedBatches

__all__ = ["train"]

N_CLIPS = 24
N_PARTS = 2
WARM_UP_STEPS = 60
MUON_LR, ADAMW_LR = 0.02, 2e-3
REPORT_STEPS = 100


def train(
    *,
    out: Path,
    steps: int = 3000,
    seed: int = 0,
    dtype: str = "float16",
    vision_layers: int = 2,
    text_layers: int = 4,
    measure: int = 1000,
) -> None:
    """Train, save, measure.

    Args:
        out: folder of the checkpoint.
        steps: optimizer steps, of 24 clips each.
        seed: of weights and shots.
        dtype: of the stored weights; training is in float32.
        vision_layers: depth of the vision tower.
        text_layers: depth of the language model.
        measure: held-out shots to measure on.
    """
    torch.set_num_threads(1)
    processor = make_processor()
    model = make_model(
        processor, seed=seed, vision_layers=vision_layers, text_layers=text_layers
    ).train()
    shots = RenderedBatches(processor, seed=seed, n_clips=N_CLIPS, n_parts=N_PARTS)
    loader = iter(DataLoader(shots, batch_size=None, num_workers=1))
    optimizers = _optimizers(model)
    peaks = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    started, losses = time.monotonic(), []
    for step in range(steps):
        scale = min((step + 1) / WARM_UP_STEPS, 1.0) * (1 - step / steps)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * scale
        losses.append(_step(model, next(loader), optimizers))
        if (step + 1) % REPORT_STEPS == 0:
            mean = np.mean(losses[-REPORT_STEPS:])
            print(f"step {step + 1} {time.monotonic() - started:.0f} s loss {mean:.4f}", flush=True)
    model.eval().to(getattr(torch, dtype)).save_pretrained(out)
    processor.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)  # safetensors writes for the owner alone; a wheel is read by all
    print(json.dumps({"wall_s": round(time.monotonic() - started), "steps": steps}))
    print(json.dumps(measure_rendered(str(out), n_shots=measure), indent=1))


def _step(
    model: FlexiVideoForConditionalGeneration,
    batches: Sequence[dict],
    optimizers: Sequence[torch.optim.Optimizer],
) -> float:
    """One optimizer step over micro-batches of equal counts; the mean loss."""
    total = 0.0
    for batch in batches:
        loss = model(**batch).loss / len(batches)
        loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return total


def _optimizers(model: FlexiVideoForConditionalGeneration) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings, patches, norms and biases."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=MUON_LR, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=ADAMW_LR, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


if __name__ == "__main__":
    from cyclopts import run

    run(train)
