"""High dynamic range as a picture of standard range: the rule, in four steps.

1. To light, in cd/m2 on the display: PQ by its EOTF (SMPTE ST 2084); HLG by its inverse OETF and
   the OOTF of a display of 1,000 cd/m2, whose gamma is 1.2 (ITU-R BT.2100).
2. Each of R, G, B by the curve of ITU-R BT.2390 (the EETF, black at zero) from a peak of
   1,000 cd/m2 to one of 203, the light of HDR's reference white (ITU-R BT.2408). Below 88 cd/m2
   nothing changes. What metadata say of the peak is not asked: it is often absent or wrong.
3. From the primaries of BT.2020 to those of BT.709; what lies outside is clipped.
4. To R'G'B' of a display with a gamma of 2.4 (ITU-R BT.1886).

Shapes: H, W pixels, 3 RGB.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["HDR_TRANSFERS", "sdr_of"]

# Transfer characteristics as H.273 numbers them, and libav with it.
PQ, HLG = 16, 18
HDR_TRANSFERS = frozenset({PQ, HLG})

PEAK_CD_M2 = 1000.0
WHITE_CD_M2 = 203.0

# SMPTE ST 2084.
M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
PQ_PEAK_CD_M2 = 10_000.0

# ITU-R BT.2100, hybrid log-gamma.
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073
HLG_GAMMA = 1.2
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)

# ITU-R BT.2087.
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)

DISPLAY_GAMMA = 2.4

# Curves are read from tables: of every 16-bit code, and of light in steps that are even in PQ.
CODES = np.arange(1 << 16) / ((1 << 16) - 1)
N_STEPS = 4096


def sdr_of(rgb_HW3: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """The picture as a display of standard range shows it, BT.709.

    Args:
        rgb_HW3: R'G'B' of BT.2020, full range.
        transfer: PQ or HLG.
    """
    mapped = _of_pq()[rgb_HW3] if transfer == PQ else _mapped(_hlg_light(rgb_HW3))
    linear = np.clip(mapped @ BT2020_TO_BT709.T, 0, 1)
    return np.rint(255 * linear ** np.float32(1 / DISPLAY_GAMMA)).astype(np.uint8)


def _hlg_light(rgb_HW3: NDArray[np.uint16]) -> NDArray[np.float32]:
    scene = _hlg_scene_light()[rgb_HW3]
    luminance = scene @ BT2020_LUMA
    return scene * np.float32(PEAK_CD_M2) * luminance[..., None] ** np.float32(HLG_GAMMA - 1)


def _mapped(light_cd_m2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Light as a share of white, by the curve."""
    steps_cd_m2 = _pq_eotf(np.linspace(0, _pq_signal(PEAK_CD_M2), N_STEPS))
    return np.interp(light_cd_m2, steps_cd_m2, _eetf(steps_cd_m2)).astype(np.float32)


@cache
def _of_pq() -> NDArray[np.float32]:
    return _eetf(_pq_eotf(CODES)).astype(np.float32)


@cache
def _hlg_scene_light() -> NDArray[np.float32]:
    bright = (np.exp((CODES - HLG_C) / HLG_A) + HLG_B) / 12
    return np.where(CODES <= 0.5, CODES**2 / 3, bright).astype(np.float32)


def _eetf(light_cd_m2: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = _pq_signal(PEAK_CD_M2)
    highest = _pq_signal(WHITE_CD_M2) / peak
    knee = 1.5 * highest - 0.5
    signal = np.minimum(_pq_signal(light_cd_m2) / peak, 1)
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    shoulder = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * highest
    )
    return _pq_eotf(np.where(signal < knee, signal, shoulder) * peak) / WHITE_CD_M2


def _pq_eotf(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    root = signal ** (1 / M2)
    return PQ_PEAK_CD_M2 * (np.maximum(root - C1, 0) / (C2 - C3 * root)) ** (1 / M1)


def _pq_signal(light_cd_m2: NDArray[np.float64] | float) -> NDArray[np.float64]:
    power = (np.asarray(light_cd_m2, np.float64) / PQ_PEAK_CD_M2) ** M1
    signal: NDArray[np.float64] = ((C1 + C2 * power) / (1 + C3 * power)) ** M2
    return signal
