"""High dynamic range against zimg's light and the published formulas, in float64."""

import numpy as np
import oracle
import pytest
from media_matrix import HDR
from seeing import SAME_FOOTAGE_DB, SAME_PICTURE_DB, SIZE, likeness_db, see

from pipeline.tone_mapping import HLG, PQ, sdr_of

# Chromaticities x, y of red, green, blue.
BT709 = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]
BT2020 = [(0.708, 0.292), (0.170, 0.797), (0.131, 0.046)]
D65 = (0.3127, 0.3290)

REAL_FILES = ["videos/roof_hevc_hdr10.mp4", "videos/roof_pan_av1_hdr10_portrait.mp4"]


def to_xyz(primaries):
    """Linear R, G, B of these primaries to CIE XYZ: what makes white D65."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    x, y = D65
    return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])


def pq_signal(cd_m2):
    power = (cd_m2 / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def pq_light(signal):
    power = signal ** (1 / 78.84375)
    ratio = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
    return 10_000 * ratio ** (1 / 0.1593017578125)


def bt2390(cd_m2, peak=1000, target=203):
    """The EETF, black at zero: the spline from the knee on, in signal relative to the peak's."""
    signal = np.minimum(pq_signal(cd_m2) / pq_signal(peak), 1)
    highest = pq_signal(target) / pq_signal(peak)
    knee = 1.5 * highest - 0.5
    t = (signal - knee) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * highest
    )
    return pq_light(np.where(signal < knee, signal, spline) * pq_signal(peak))


def sdr(light_cd_m2):
    to_bt709 = np.linalg.inv(to_xyz(BT709)) @ to_xyz(BT2020)
    linear = np.clip(bt2390(np.maximum(light_cd_m2, 0)) / 203 @ to_bt709.T, 0, 1)
    return 255 * linear ** (1 / 2.4)


def likenesses_db(path):
    seen = see(path, max_frames=61)
    light = oracle.light(path, seen.stream, list(seen.pictures), SIZE).astype(np.float64)
    return [likeness_db(*pair) for pair in zip(seen.pictures.values(), sdr(light), strict=True)]


@pytest.mark.parametrize("name", HDR)
def test_high_dynamic_range_is_mapped_by_the_stated_rule(made_media, name):
    """zimg's light, each of R, G, B by BT.2390 from 1,000 to 203 cd/m2, BT.709, gamma 2.4."""
    found = likenesses_db(made_media / name)
    assert min(found) >= SAME_PICTURE_DB, found


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_footage_is_mapped_by_the_stated_rule(test_data, name):
    found = likenesses_db(test_data / name)
    assert min(found) >= SAME_FOOTAGE_DB, found


@pytest.mark.parametrize(("transfer", "white_code"), [(PQ, 0.5807), (HLG, 0.75)])
def test_the_whole_range_is_used_and_its_order_kept(transfer, white_code):
    """Black stays black, the peak is white, grey stays grey, and paper is bright, not burnt out."""
    ramp = np.repeat(np.linspace(0, 65535, 1024).astype(np.uint16)[None, :, None], 3, axis=2)
    grey = sdr_of(ramp, transfer)[0]
    assert np.ptp(grey.astype(int), axis=1).max() <= 1
    assert (grey[0, 0], grey[-1, 0]) == (0, 255)
    assert np.all(np.diff(grey[:, 0].astype(int)) >= 0)
    assert 220 <= grey[round(white_code * 1023), 0] <= 240
