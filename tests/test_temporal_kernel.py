import numpy as np
import pytest
import torch

from flexivideo.temporal_kernel import (
    expand_kernel,
    refit_kernel,
    refit_matrix,
    resampling_matrix,
)

T_INIT = 6
LENGTHS = range(1, 65)


@pytest.fixture
def kernel(rng):
    return rng.standard_normal((5, 3, 2, 4, 4))


def response(kernel, frames):
    """sum over channels, time and pixels: what the convolution gives for one patch."""
    return np.einsum("octpq,ctpq->o", kernel, frames)


def test_b_is_linear_interpolation_between_half_pixel_centres():
    for t_new in LENGTHS:
        basis = torch.eye(T_INIT, dtype=torch.float64)[None]
        by_torch = torch.nn.functional.interpolate(basis, size=t_new, mode="linear")[0].T
        assert resampling_matrix(t_new, T_INIT) == pytest.approx(by_torch.numpy())


def test_the_expanded_kernel_answers_repeated_frames_as_the_old_one(rng, kernel):
    """W_init[t] = W_old[t mod T_old] / r, at every even length."""
    pair = rng.standard_normal((3, 2, 4, 4))
    for t_init in range(2, 65, 2):
        repeated = np.tile(pair, (1, t_init // 2, 1, 1))
        answer = response(expand_kernel(kernel, t_init), repeated)
        assert answer == pytest.approx(response(kernel, pair)), t_init


@pytest.mark.parametrize("t_init", [1, 3, 5])
def test_a_length_that_the_taps_do_not_divide_is_refused(kernel, t_init):
    with pytest.raises(ValueError, match=f"t_init is {t_init}"):
        expand_kernel(kernel, t_init)


def test_p_is_the_pseudo_inverse_of_b_transposed():
    """Moore and Penrose: A P A = A, P A P = P, A P and P A symmetric, with A = B^T.

    Where B has full column rank it is the paper's P = B (B^T B)^-1.
    """
    for t_new in LENGTHS:
        stretch, refit = resampling_matrix(t_new, T_INIT), refit_matrix(t_new, T_INIT, "pi")
        assert stretch.T @ refit @ stretch.T == pytest.approx(stretch.T)
        assert refit @ stretch.T @ refit == pytest.approx(refit)
        for product in (stretch.T @ refit, refit @ stretch.T):
            assert product == pytest.approx(product.T)
        if np.linalg.matrix_rank(stretch) == T_INIT:
            closed = stretch @ np.linalg.inv(stretch.T @ stretch)
            assert refit == pytest.approx(closed)


@pytest.mark.parametrize("t_new", [1, 2, 3, 4, 5, 6, 7, 12, 64])
def test_pi_is_the_least_squares_minimiser(rng, t_new):
    """w_new = argmin E[(<u, w> - <B u, w_new>)^2]: any perturbation is worse."""
    stretch, w = resampling_matrix(t_new, T_INIT), rng.standard_normal(T_INIT)
    fitted = refit_matrix(t_new, T_INIT, "pi") @ w

    def loss(w_new):  # u is white, so the expectation is the squared norm
        return np.sum((w - stretch.T @ w_new) ** 2)

    for _ in range(20):
        assert loss(fitted + 1e-2 * rng.standard_normal(t_new)) >= loss(fitted)


def test_pi_answers_stretched_scenes_as_before(rng):
    """<u, w> = <B u, P w> exactly, wherever nothing is lost."""
    for t_new in range(T_INIT, 65):
        u, w = rng.standard_normal((2, T_INIT))
        fitted = refit_matrix(t_new, T_INIT, "pi") @ w
        assert resampling_matrix(t_new, T_INIT) @ u @ fitted == pytest.approx(u @ w)


def test_pi_const_keeps_the_answer_to_a_still_scene_at_every_length():
    for t_new in LENGTHS:
        assert refit_matrix(t_new, T_INIT, "pi_const").sum(axis=0) == pytest.approx(1.0)


def test_pi_loses_the_answer_to_a_still_scene_at_one_and_two_frames(kernel):
    """The measured harm that pi_const and tei exist for: two thirds are gone."""
    for t_new in (1, 2):
        assert refit_matrix(t_new, T_INIT, "pi").sum() == pytest.approx(T_INIT / 3)


@pytest.mark.parametrize("t_init", [4, T_INIT, 8, 12])
def test_pi_const_is_the_best_among_those_that_keep_it(t_init):
    """Karush, Kuhn and Tucker, for every kernel at once: the columns of P are those of unit taps.

    The loss is convex, so the sum of the taps is kept at least loss where the loss's gradient
    B (B^T p - w) is the same in every tap: one multiplier, of the one constraint. Six taps alone
    would not show it: what they lose is spread evenly.
    """
    for t_new in LENGTHS:
        stretch = resampling_matrix(t_new, t_init)
        fitted = refit_matrix(t_new, t_init, "pi_const")
        gradient = stretch @ (stretch.T @ fitted - np.eye(t_init))
        assert gradient == pytest.approx(np.tile(gradient[:1], (t_new, 1)), abs=1e-9), t_new
        assert fitted.sum(axis=0) == pytest.approx(1.0), t_new


def test_tei_is_the_stock_kernel_at_two_frames(kernel):
    assert refit_kernel(kernel, 2, "tei") == pytest.approx(kernel)


def test_tei_alternates_taps_and_divides_each_by_its_count(kernel):
    fitted = refit_kernel(kernel, 5, "tei")
    assert fitted[:, :, [0, 2, 4]] == pytest.approx(np.repeat(kernel[:, :, :1] / 3, 3, axis=2))
    assert fitted[:, :, [1, 3]] == pytest.approx(np.repeat(kernel[:, :, 1:] / 2, 2, axis=2))


def test_an_unknown_mode_is_refused_with_the_three_known(kernel):
    with pytest.raises(ValueError, match="tei, pi, pi_const"):
        refit_kernel(kernel, 4, "nearest")
