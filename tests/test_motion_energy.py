"""What the embedded checkpoint's tower begins with: it sees which way, how fine and how much."""

import math

import pytest
import torch

from jobs.embedded_architecture import make_model, make_processor
from jobs.motion_energy import N_ANGLES, WAVES_A_PATCH, begin_with_motion_energy

N_WAVES = N_ANGLES * len(WAVES_A_PATCH)
SIDE, N_TAPS = 14, 6


@pytest.fixture(scope="module")
def tower():
    return make_model(make_processor(), seed=0).model.visual


def waves(*, waves_a_patch, angle, step, phase=0.0, light=0.0):
    """A grey wave [1, C * T * P * P] that moves by ``step`` radians from frame to frame."""
    line = torch.arange(SIDE) - (SIDE - 1) / 2
    along = line[:, None] * math.sin(angle) + line[None] * math.cos(angle)
    along = 2 * math.pi * waves_a_patch * along / SIDE
    frames = [torch.cos(along + phase - step * tap) + light for tap in range(N_TAPS)]
    return torch.stack(frames).expand(3, -1, -1, -1).reshape(1, -1)


def answers(tower, patches):
    """Answers [D] of the first layer to the patch's kernels; the norm between changes no sign."""
    with torch.no_grad():
        return tower.blocks[0].mlp(tower.patch_embed(patches))[0]


@pytest.mark.parametrize("number", range(N_WAVES))
@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5])
def test_the_sign_of_a_way_is_the_way_of_its_wave(tower, number, phase):
    seen = {
        "waves_a_patch": WAVES_A_PATCH[number // N_ANGLES],
        "angle": math.pi * (number % N_ANGLES) / N_ANGLES,
        "phase": phase,
    }
    forth, back, rest = (
        float(answers(tower, waves(**seen, step=step))[number]) for step in (0.2, -0.2, 0.0)
    )
    assert forth * back < 0
    assert abs(rest) < 1e-4 * abs(forth)
    other_phase = float(answers(tower, waves(**seen | {"phase": phase + 1.3}, step=0.2))[number])
    assert forth * other_phase > 0


def test_detail_and_change_are_told_apart(tower):
    """The finest band: at rest there is detail and no change; faster waves change more."""
    seen = {"waves_a_patch": WAVES_A_PATCH[-1], "angle": 0.0}
    detail, change = N_WAVES + 2 * len(WAVES_A_PATCH) - 2, N_WAVES + 2 * len(WAVES_A_PATCH) - 1
    still = answers(tower, waves(**seen, step=0.0))
    slow, fast = (answers(tower, waves(**seen, step=step)) for step in (0.1, 0.3))
    assert still[detail] > 0.1
    assert abs(float(still[change])) < 1e-6
    assert 0 < slow[change] < fast[change]


def test_no_wave_sees_light(tower):
    """Of a plain patch, at any light, all kernels of waves say nothing."""
    plain = torch.full((1, 3 * N_TAPS * SIDE * SIDE), 1.7)
    seen = tower.patch_embed(plain)[0, -4 * N_WAVES :]
    assert seen.abs().max() < 1e-4


def test_a_tower_too_narrow_is_refused():
    model = make_model(make_processor(), seed=0)
    tower = model.model.visual
    tower.patch_embed.proj.weight.data = tower.patch_embed.proj.weight.data[:64]
    with pytest.raises(ValueError, match="has 64 channels"):
        begin_with_motion_energy(tower)
