"""What the embedded checkpoint's vision tower is before it has learned anything: motion energy.

Which way something moves is a product of what is seen and of how it changes. Training would have to
find such products from answers that are right once in seven, so the tower begins with them (Adelson
and Bergen 1985). Kernels come in quadruples, a wave each: cosine and sine over space, at rest and
in motion over time. A gated layer takes their products, and of those come, for each wave,

    the way      cos_at_rest * sin_in_motion - sin_at_rest * cos_in_motion, whose sign is the way
                 in which the wave runs, whatever its phase
    the detail   the size of both at rest
    the change   the size of both in motion

The other kernels are noise, which sees light and colour. All of it is trained on.

Shapes: O kernels, C channels, T taps, P pixels of a patch's side.
"""

import math
from itertools import product
from typing import Any

import torch
from torch import Tensor

__all__ = ["begin_with_motion_energy"]

# Of all quadruples: ways half around, waves a patch.
N_ANGLES, WAVES_A_PATCH = 4, (0.3, 0.5, 0.8, 1.2)

# The frames of a scene differ by little, and so do the products.
MOTION_GAIN, WAY_GAIN = 3.0, 4.0

# silu(x s) + silu(-x s) is s times the size of x where s is large.
SIZE_SLOPE = 4.0

# The layers' norms forget how strong a patch's signal is, unless it stands beside a constant.
CONSTANT = 0.3


@torch.no_grad()
def begin_with_motion_energy(vision: Any) -> None:
    """Set the kernels of the patches and the first block of a Qwen2.5-VL vision tower.

    Args:
        vision: the tower, with fan-in initialisation; a quarter of its channels at least is left as
            it is, but for the constant.

    Raises:
        ValueError: if the tower is too narrow.
    """
    kernel_OCTPP, block = vision.patch_embed.proj.weight, vision.blocks[0]
    n_channels, n_waves, n_sizes = len(kernel_OCTPP), N_ANGLES * len(WAVES_A_PATCH), 2
    n_answers = n_waves + n_sizes * len(WAVES_A_PATCH)
    first_wave = n_channels - 4 * n_waves
    layer = _GatedLayer(block.mlp)
    if first_wave - n_answers < n_channels // 8 or layer.n_units < 12 * n_waves:
        raise ValueError(
            f"the tower has {n_channels} channels and {layer.n_units} units a layer; expected "
            f"at least {8 * (4 * n_waves + n_answers) // 7} and {12 * n_waves}"
        )
    kernel_OCTPP[:first_wave] /= kernel_OCTPP.shape[2] ** 0.5
    kernel_OCTPP[:n_answers] = 0
    # Attention's first answers would drown the waves; its bias is where the constant stands.
    attention, free = block.attn.proj, slice(n_answers, first_wave)
    attention.weight[:n_answers] = attention.weight[first_wave:] = 0
    attention.bias.zero_()
    attention.bias[free].normal_(0, CONSTANT * (n_channels / (first_wave - n_answers)) ** 0.5)
    layer.clear(n_answers)
    for wave, (waves, angle) in enumerate(product(WAVES_A_PATCH, range(N_ANGLES))):
        channels = range(first_wave + 4 * wave, first_wave + 4 * wave + 4)
        for channel, pattern_TPP in zip(
            channels, _quadruple(kernel_OCTPP, waves, math.pi * angle / N_ANGLES), strict=True
        ):
            kernel_OCTPP[channel] = pattern_TPP
        cos_rest, cos_motion, sin_rest, sin_motion = channels
        layer.add_product(cos_rest, sin_motion, WAY_GAIN, to=wave)
        layer.add_product(sin_rest, cos_motion, -WAY_GAIN, to=wave)
        band = n_waves + n_sizes * WAVES_A_PATCH.index(waves)
        for channel, answer in zip(channels, (band, band + 1) * 2, strict=True):
            layer.add_size(channel, to=answer)


def _quadruple(kernel_OCTPP: Tensor, waves: float, angle: float) -> list[Tensor]:
    """Patterns [T, P, P] of a wave: cosine at rest, in motion, sine at rest, in motion."""
    _, n_colours, n_taps, side, _ = kernel_OCTPP.shape
    turn = (torch.arange(n_taps) - (n_taps - 1) / 2) * math.pi / n_taps
    at_rest, in_motion = turn.cos() / turn.cos().sum(), turn.sin() / turn.sin().abs().sum()
    line = torch.arange(side) - (side - 1) / 2
    window = torch.exp(-(line[:, None] ** 2 + line[None] ** 2) / (2 * (side / 3) ** 2))
    along = line[:, None] * math.sin(angle) + line[None] * math.cos(angle)
    along = 2 * math.pi * waves * along / side
    patterns = []
    for over_space in (along.cos() * window, along.sin() * window):
        pattern = over_space - window * (over_space.sum() / window.sum())  # blind to light
        pattern /= pattern.norm() * side * n_colours**0.5 / 2
        patterns += [
            at_rest[:, None, None] * pattern,
            MOTION_GAIN * in_motion[:, None, None] * pattern,
        ]
    return patterns


class _GatedLayer:
    """down(silu(gate x) * up x), unit by unit."""

    def __init__(self, mlp: Any) -> None:
        self._gate, self._up, self._down = mlp.gate_proj, mlp.up_proj, mlp.down_proj
        self.n_units, self._n_taken = len(self._gate.weight), 0

    def clear(self, n_answers: int) -> None:
        """Nothing else is answered in the first channels."""
        for projection in (self._gate, self._up, self._down):
            projection.bias.zero_()
        self._down.weight[:n_answers] = 0

    def add_product(self, one: int, other: int, weight: float, *, to: int) -> None:
        """silu(x) y - silu(-x) y = x y."""
        for sign in (1.0, -1.0):
            unit = self._take(one, sign, weight * sign, to)
            self._up.weight[unit, other] = 1

    def add_size(self, channel: int, *, to: int) -> None:
        """About the size of a channel."""
        for sign in (1.0, -1.0):
            self._up.bias[self._take(channel, sign * SIZE_SLOPE, 1 / SIZE_SLOPE, to)] = 1

    def _take(self, channel: int, gate: float, down: float, to: int) -> int:
        unit, self._n_taken = self._n_taken, self._n_taken + 1
        self._gate.weight[unit], self._up.weight[unit], self._down.weight[:, unit] = 0, 0, 0
        self._gate.weight[unit, channel], self._down.weight[to, unit] = gate, down
        return unit
