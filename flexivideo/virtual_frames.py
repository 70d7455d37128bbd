"""Virtual frames: the refit applied to the frames instead of the kernel.

<frames, P w> = <P^T frames, w>: the embedding of a scene of any length is the stock convolution
over a few weighted means of its frames. So no kernel is made per length, scenes of all lengths
share a batch, and a long scene travels as its virtual frames alone.

Shapes: T frames of a scene, V virtual frames (2 for "tei", t_init otherwise), H, W pixels, 3 RGB.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flexivideo.temporal_kernel import STOCK_TAPS, check_mode, refit_matrix, tap_means

__all__ = ["n_virtual_frames", "stored_frames", "to_virtual_frames", "virtual_frame_weights"]

# Half precision keeps a mean of 8-bit pixels to 1/16 of a grey level and whole levels exactly.
STORED_DTYPE = np.float16

# Values of a frame that are averaged at a time: 64 frames of them as floats stay in a core's cache,
# where all of a long scene would be 150 MB.
VALUES_AT_ONCE = 1 << 14


def n_virtual_frames(*, mode: str, t_init: int) -> int:
    """How many virtual frames stand for a scene: V."""
    check_mode(mode)
    return STOCK_TAPS if mode == "tei" else t_init


@lru_cache(maxsize=1024)
def virtual_frame_weights(n_frames: int, *, mode: str, t_init: int) -> NDArray[np.float64]:
    """Weights [V, n_frames]: virtual frame v is the sum of frames t times weights[v, t].

    For "pi" and "pi_const" they are P^T (the paper's "Adaptive Temporal Encoding"); for "tei" the
    mean of the even and the mean of the odd frames, a single frame standing for both. The array is
    shared: do not write to it.

    Raises:
        ValueError: if n_frames is below one.
    """
    if n_frames < 1:
        raise ValueError(f"a scene has {n_frames} frames; expected at least 1")
    check_mode(mode)
    if mode == "tei":
        weights = tap_means(n_frames)
    else:
        weights = refit_matrix(n_frames, t_init, mode).T.copy()
    weights.setflags(write=False)
    return weights


def stored_frames(
    frames_THWC: NDArray[np.uint8], *, mode: str, t_init: int
) -> NDArray[np.uint8] | NDArray[np.float16]:
    """The smaller form of a scene: its raw frames uint8 [T,H,W,3], or float16 [V,H,W,3].

    Raw frames are exact and win ties; they are no larger up to T = 2 V.
    """
    n_frames = len(frames_THWC)
    n_virtual = n_virtual_frames(mode=mode, t_init=t_init)
    if n_frames <= n_virtual * np.dtype(STORED_DTYPE).itemsize:
        return frames_THWC
    return _weighted_means(frames_THWC, mode=mode, t_init=t_init).astype(STORED_DTYPE)


def to_virtual_frames(
    stored: NDArray[np.generic], n_frames: int, *, mode: str, t_init: int
) -> NDArray[np.float32]:
    """Virtual frames float32 [V,H,W,3], grey levels 0 to 255, of a scene in either stored form.

    Raises:
        ValueError: if the stored frames are neither ``n_frames`` raw nor V virtual ones.
    """
    if stored.dtype == np.uint8:
        if len(stored) != n_frames:
            raise ValueError(
                f"a scene of {n_frames} frames came with {len(stored)} raw ones; expected all"
            )
        return _weighted_means(stored, mode=mode, t_init=t_init)
    n_virtual = n_virtual_frames(mode=mode, t_init=t_init)
    if len(stored) != n_virtual:
        raise ValueError(
            f"a scene came with {len(stored)} virtual frames of {stored.dtype}; "
            f"expected {n_virtual} for {mode}"
        )
    return stored.astype(np.float32)


def _weighted_means(
    frames_THWC: NDArray[np.generic], *, mode: str, t_init: int
) -> NDArray[np.float32]:
    weights = virtual_frame_weights(len(frames_THWC), mode=mode, t_init=t_init).astype(np.float32)
    flat = frames_THWC.reshape(len(frames_THWC), -1)
    means = np.empty((len(weights), flat.shape[1]), np.float32)
    for start in range(0, flat.shape[1], VALUES_AT_ONCE):
        part = slice(start, start + VALUES_AT_ONCE)
        means[:, part] = weights @ flat[:, part].astype(np.float32)
    return means.reshape(len(weights), *frames_THWC.shape[1:])
