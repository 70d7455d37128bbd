"""Optimizers and the course of the learning rate."""

import math

import torch
from torch import nn

__all__ = ["learning_rate_scale", "make_optimizers"]

# Beside Muon, AdamW moves what is no matrix with a smaller rate: their steps differ in kind.
ADAMW_SHARE_OF_MUON_LR = 0.4


def make_optimizers(
    model: nn.Module, *, name: str, lr: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Optimizers of all parameters that are trained.

    AdamW is fused: otherwise a step takes another copy of all parameters while it lasts.

    Args:
        model: the model.
        name: "adamw" for fine-tuning, or "muon" for training from nothing: Muon for the layers'
            matrices and AdamW for embeddings, norms, biases, and the kernels of patches.
        lr: peak learning rate (Muon's).
        weight_decay: of matrices.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in named if p.ndim == 2 and "embed" not in n]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    if name == "muon":
        share = lr * ADAMW_SHARE_OF_MUON_LR
        kernels = [p for p in rest if p.ndim > 2]
        groups = [
            {"params": [p for p in rest if p.ndim <= 2]},
            # Thousands of weights add up in a kernel's answer, and AdamW moves all of them at once.
            *({"params": [p], "lr": share * p[0].numel() ** -0.5} for p in kernels),
        ]
        return [
            torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay),
            torch.optim.AdamW(groups, lr=share, weight_decay=0.0, betas=(0.9, 0.98), fused=True),
        ]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), fused=True)]


def learning_rate_scale(step: int, *, n_steps: int, warm_up: float) -> float:
    """Share of the peak at a step: a straight rise, then half a cosine down to zero.

    Args:
        step: 0, 1, ...
        n_steps: of the whole run.
        warm_up: share of the run that rises (the paper: 0.03).
    """
    rise = math.ceil(warm_up * n_steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(n_steps - rise, 1)))
