"""The temporal kernel at any length: expansion, and three ways to refit it to a scene.

Free functions over numpy, in float64: they run once a length, so exactness costs nothing.

Shapes: O out, C in channels, T kernel frames, P patch side; t_init taps of the expanded kernel,
t_new frames of a scene.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "STOCK_TAPS",
    "TemporalResample",
    "check_mode",
    "expand_kernel",
    "refit_kernel",
    "refit_matrix",
    "resampling_matrix",
    "tap_means",
]

# Taps of Qwen2.5-VL's patch embedding.
STOCK_TAPS = 2

# Of an expanded kernel; the paper has 6. Longer ones cost memory in every scene and say no more.
MOST_TAPS = 256

TemporalResample = Literal["tei", "pi", "pi_const"]

Array = NDArray[np.float64]


def check_mode(mode: str) -> None:
    """Refuse what is no temporal resampling mode.

    Raises:
        ValueError: naming what was received and the three modes.
    """
    if mode not in get_args(TemporalResample):
        modes = ", ".join(get_args(TemporalResample))
        raise ValueError(f"temporal_resample is {mode!r}; expected one of {modes}")


def expand_kernel(kernel_OCTPP: NDArray[np.floating], t_init: int) -> Array:
    """Temporal expansion initialisation: repeat the taps periodically and divide by the ratio.

    W_init[:, :, t] = W_old[:, :, t mod T_old] / r with r = t_init / T_old, so a scene of repeated
    frames is answered as before. Source: the paper's "Temporal Expansion Initialization".

    Raises:
        ValueError: if T_old does not divide t_init, or it is no length of a scene any more.
    """
    t_old = kernel_OCTPP.shape[2]
    if t_init > MOST_TAPS:
        raise ValueError(f"t_init is {t_init}; expected at most {MOST_TAPS} taps")
    if t_init < t_old or t_init % t_old:
        raise ValueError(
            f"t_init is {t_init} and the kernel has {t_old} taps; expected a multiple of the taps, "
            f"such as {3 * t_old}"
        )
    taps = np.arange(t_init) % t_old
    return kernel_OCTPP.astype(np.float64)[:, :, taps] * (t_old / t_init)


def resampling_matrix(t_new: int, t_init: int) -> Array:
    """Matrix B [t_new, t_init] of linear interpolation between half-pixel centres.

    No antialiasing, edges clamped: what ``interpolate(mode="linear", align_corners=False)`` does.

    Raises:
        ValueError: if a length is below one.
    """
    if t_new < 1 or t_init < 1:
        raise ValueError(f"t_new is {t_new} and t_init is {t_init}; expected both at least 1")
    centres = np.clip((np.arange(t_new) + 0.5) * (t_init / t_new) - 0.5, 0, t_init - 1)
    left = np.minimum(np.floor(centres).astype(int), max(t_init - 2, 0))
    right = np.minimum(left + 1, t_init - 1)
    share = centres - left
    matrix = np.zeros((t_new, t_init))
    rows = np.arange(t_new)
    np.add.at(matrix, (rows, left), 1 - share)
    np.add.at(matrix, (rows, right), share)
    return matrix


def refit_matrix(t_new: int, t_init: int, mode: str) -> Array:
    """Matrix P [t_new, t_init] with w_new = P w, for the two pseudo-inverse modes.

    "pi" is the paper's closed form, P = B (B^T B)^-1 = (B^T)^+, the minimiser of
    E[(<u, w> - <B u, w_new>)^2]. "pi_const" is the same minimum among those P that keep the
    response to a constant signal, 1^T P = 1^T: with G = (B B^T)^+ and g = G 1,
    P + g (1^T - 1^T P) / (1^T g). It differs from "pi" where t_new < t_init only.

    Raises:
        ValueError: for "tei", which is no function of the expanded kernel alone.
    """
    check_mode(mode)
    if mode == "tei":
        raise ValueError("tei has no refit matrix; expected pi or pi_const, or use refit_kernel")
    stretch = resampling_matrix(t_new, t_init)
    refit = np.asarray(np.linalg.pinv(stretch.T), dtype=np.float64)
    if mode == "pi_const" and t_new < t_init:
        weights = np.linalg.pinv(stretch @ stretch.T).sum(axis=1)
        lost = 1.0 - refit.sum(axis=0)
        refit = refit + np.outer(weights, lost) / weights.sum()
    return refit


def tap_means(t_new: int, t_old: int = STOCK_TAPS) -> Array:
    """Weights [t_old, t_new] that take the mean of the frames which share a tap of "tei".

    Frame t falls to tap t mod t_old; where no frame falls to a tap, the scene's last one does.
    """
    tap = np.arange(t_new) % t_old
    weights = (np.arange(t_old)[:, None] == tap).astype(np.float64)
    weights[t_new:, -1] = 1.0
    means: Array = weights / weights.sum(axis=1, keepdims=True)
    return means


def refit_kernel(kernel_OCTPP: NDArray[np.floating], t_new: int, mode: str) -> Array:
    """The kernel [O, C, t_new, P, P] for scenes of ``t_new`` frames.

    For "pi" and "pi_const" the kernel is the expanded one. For "tei" it is the original one: the
    expansion evaluated at the scene's own length, where even frames share the even tap and odd
    frames the odd one, each divided by its own count; a single frame takes both.
    """
    check_mode(mode)
    kernel: Array = kernel_OCTPP.astype(np.float64)
    if mode == "tei":
        fitted: Array = np.einsum("octpq,tn->ocnpq", kernel, tap_means(t_new, kernel.shape[2]))
    else:
        fitted = np.einsum("nt,octpq->ocnpq", refit_matrix(t_new, kernel.shape[2], mode), kernel)
    return fitted
