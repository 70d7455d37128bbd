import numpy as np
import pytest

from flexivideo.temporal_kernel import expand_kernel, refit_kernel
from flexivideo.virtual_frames import (
    n_virtual_frames,
    stored_frames,
    to_virtual_frames,
    virtual_frame_weights,
)

MODES = ("tei", "pi", "pi_const")
T_INIT = 6


def frames_of(rng, n_frames):
    return rng.integers(0, 256, (n_frames, 4, 6, 3)).astype(np.uint8)


@pytest.mark.parametrize("mode", MODES)
def test_virtual_frames_answer_as_the_explicit_kernel_of_every_length(rng, mode):
    """<frames, P w> = <P^T frames, w>, for scenes of 1 to 64 frames."""
    stock = rng.standard_normal((5, 3, 2, 4, 6))
    kernel = stock if mode == "tei" else expand_kernel(stock, T_INIT)
    for n_frames in range(1, 65):
        frames = frames_of(rng, n_frames)
        explicit = np.einsum("octpq,tpqc->o", refit_kernel(kernel, n_frames, mode), frames)
        virtual = to_virtual_frames(frames, n_frames, mode=mode, t_init=T_INIT)
        answer = np.einsum("octpq,tpqc->o", kernel, virtual)
        assert answer == pytest.approx(explicit, rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("mode", ["tei", "pi_const"])
def test_a_still_scene_passes_unchanged_at_every_length(rng, mode):
    one = frames_of(rng, 1)
    expected = np.repeat(one, n_virtual_frames(mode=mode, t_init=T_INIT), axis=0)
    for n_frames in range(1, 65):
        stored = stored_frames(np.repeat(one, n_frames, axis=0), mode=mode, t_init=T_INIT)
        virtual = to_virtual_frames(stored, n_frames, mode=mode, t_init=T_INIT)
        assert virtual == pytest.approx(expected.astype(np.float32), abs=0.13)


@pytest.mark.parametrize("mode", MODES)
def test_the_stored_form_is_never_larger_than_either_form(rng, mode):
    n_virtual = n_virtual_frames(mode=mode, t_init=T_INIT)
    for n_frames in range(1, 65):
        frames = frames_of(rng, n_frames)
        stored = stored_frames(frames, mode=mode, t_init=T_INIT)
        assert stored.nbytes <= min(frames.nbytes, 2 * n_virtual * frames[0].size)


@pytest.mark.parametrize("mode", MODES)
def test_the_stored_form_gives_the_same_virtual_frames_to_a_quarter_level(rng, mode):
    """float16 keeps 1/8 of a grey level up to 256, and pi's weights overshoot a little."""
    for n_frames in (1, 4, 5, 12, 13, 64):
        frames = frames_of(rng, n_frames)
        stored = stored_frames(frames, mode=mode, t_init=T_INIT)
        virtual = to_virtual_frames(stored, n_frames, mode=mode, t_init=T_INIT)
        exact = to_virtual_frames(frames, n_frames, mode=mode, t_init=T_INIT)
        assert virtual == pytest.approx(exact, abs=0.25)


def test_a_scene_without_frames_is_refused():
    with pytest.raises(ValueError, match="0 frames"):
        virtual_frame_weights(0, mode="tei", t_init=T_INIT)


def test_a_wrong_number_of_stored_frames_is_refused_with_both_numbers(rng):
    with pytest.raises(ValueError, match="7 frames came with 5"):
        to_virtual_frames(frames_of(rng, 5), 7, mode="tei", t_init=T_INIT)
    with pytest.raises(ValueError, match="expected 2"):
        to_virtual_frames(np.zeros((3, 2, 2, 3), np.float16), 9, mode="tei", t_init=T_INIT)
