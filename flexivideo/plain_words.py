"""Words whose truth can be computed from any pixels: the world of the embedded checkpoint.

A clip is dark, dim or bright; plain or detailed; mostly of one colour; still, slow or fast. The
rule below says which, from the frames as the model sees them, so that rendered and real footage are
judged alike. Near a threshold a word is neither right nor wrong: such an attribute is not scored.

Shapes: T frames, H, W pixels, 3 RGB.
"""

import re
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

__all__ = ["ATTRIBUTES", "EMBEDDED_LIMITS", "Judgement", "Words", "judge", "parse_caption"]

# Said wherever the embedded checkpoint's captions are shown.
EMBEDDED_LIMITS = (
    "the embedded checkpoint tells light, colour, detail and movement, and knows nothing of "
    "people, objects, actions or speech; name a real model with --model"
)

# Mean luma in grey levels, and how far from a threshold a clip must be to be scored.
LIGHTS = ("dark", "dim", "bright")
LIGHT_THRESHOLDS = (60.0, 110.0)
LIGHT_MARGIN = 8.0

# Mean of the luma's absolute horizontal and vertical steps, grey levels.
DETAILS = ("plain", "detailed")
DETAIL_THRESHOLD = 9.0
DETAIL_RATIO = 1.25

# Mean absolute luma step from one sampled frame to the next, grey levels.
AMOUNTS = ("still", "slow", "fast")
AMOUNT_THRESHOLDS = (1.5, 8.0)
AMOUNT_RATIO = 1.35

# Below this mean chroma (largest less smallest channel, grey levels) all is grey; else the sector
# of the colour circle (degrees) that holds most of the chroma, if it is ahead of the next.
GREY_CHROMA = 22.0
GREY_MARGIN = 6.0
SECTORS = {"red": 340, "orange": 18, "green": 70, "blue": 165, "purple": 260}
COLOURS = ("grey", *SECTORS)
SECTOR_LEAD = 0.15

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

_CAPTION = re.compile(
    rf"An? (?P<light>{'|'.join(LIGHTS)}), (?P<detail>{'|'.join(DETAILS)}) view, "
    rf"mostly (?P<colour>{'|'.join(COLOURS)}), (?P<amount>{'|'.join(AMOUNTS)})\."
)


@dataclass(frozen=True, kw_only=True)
class Words:
    """One word an attribute."""

    light: str
    detail: str
    colour: str
    amount: str

    def caption(self) -> str:
        """The words as the embedded checkpoint says them."""
        return f"A {self.light}, {self.detail} view, mostly {self.colour}, {self.amount}."


ATTRIBUTES = tuple(field.name for field in fields(Words))


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The words that are true of a clip, and which of them are clear enough to be scored."""

    words: Words
    clear: frozenset[str]

    def score(self, caption: str) -> dict[str, bool]:
        """Attribute to whether the caption has it right, for the clear ones alone.

        A caption that does not follow the grammar has every attribute wrong.
        """
        said = parse_caption(caption)
        return {
            name: said is not None and getattr(said, name) == getattr(self.words, name)
            for name in ATTRIBUTES
            if name in self.clear
        }


def parse_caption(caption: str) -> Words | None:
    """The words of a caption, or None where it does not follow the grammar."""
    match = _CAPTION.fullmatch(caption.strip())
    return Words(**match.groupdict()) if match else None


def judge(frames_THWC: NDArray[np.uint8]) -> Judgement:
    """What is true of a clip's sampled frames, uint8 [T,H,W,3], at the size the model sees.

    Raises:
        ValueError: if there is no frame.
    """
    if not len(frames_THWC):
        raise ValueError("a clip without frames has no words; expected at least one frame")
    frames = frames_THWC.astype(np.float32)
    luma = frames @ LUMA
    found = {
        "light": _light(luma),
        "detail": _detail(luma),
        "colour": _colour(frames),
        "amount": _amount(luma),
    }
    return Judgement(
        words=Words(**{name: word for name, (word, _) in found.items()}),
        clear=frozenset(name for name, (_, clear) in found.items() if clear),
    )


def _light(luma_THW: NDArray[np.float32]) -> tuple[str, bool]:
    level = float(luma_THW.mean())
    distance = min(abs(level - threshold) for threshold in LIGHT_THRESHOLDS)
    return LIGHTS[int(np.searchsorted(LIGHT_THRESHOLDS, level, "right"))], distance > LIGHT_MARGIN


def _detail(luma_THW: NDArray[np.float32]) -> tuple[str, bool]:
    across = np.abs(np.diff(luma_THW, axis=2)).mean()
    down = np.abs(np.diff(luma_THW, axis=1)).mean()
    return _by_ratio(float(across + down), (DETAIL_THRESHOLD,), DETAIL_RATIO, DETAILS)


def _amount(luma_THW: NDArray[np.float32]) -> tuple[str, bool]:
    if len(luma_THW) == 1:
        return AMOUNTS[0], False  # one frame cannot show movement
    step = float(np.abs(np.diff(luma_THW, axis=0)).mean())
    return _by_ratio(step, AMOUNT_THRESHOLDS, AMOUNT_RATIO, AMOUNTS)


def _by_ratio(
    value: float, thresholds: tuple[float, ...], ratio: float, words: tuple[str, ...]
) -> tuple[str, bool]:
    clear = all(value > threshold * ratio or value < threshold / ratio for threshold in thresholds)
    return words[int(np.searchsorted(thresholds, value, "right"))], clear


def _colour(frames_THWC: NDArray[np.float32]) -> tuple[str, bool]:
    red, green, blue = np.moveaxis(frames_THWC, -1, 0)
    largest, smallest = frames_THWC.max(-1), frames_THWC.min(-1)
    chroma = largest - smallest
    mean_chroma = float(chroma.mean())
    if mean_chroma < GREY_CHROMA:
        return COLOURS[0], mean_chroma < GREY_CHROMA - GREY_MARGIN
    safe = np.maximum(chroma, 1e-3)
    hue = np.where(
        largest == red,
        (green - blue) / safe % 6,
        np.where(largest == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    # Degrees from the beginning of "red", so that the sectors run on without a wrap.
    turned = (hue * 60 - SECTORS["red"]) % 360
    edges = [(start - SECTORS["red"]) % 360 for start in SECTORS.values()]
    sector = np.searchsorted(edges, turned.ravel(), "right") - 1
    shares = np.bincount(sector, weights=chroma.ravel(), minlength=len(edges))
    shares /= shares.sum()
    second, first = np.sort(shares)[-2:]
    clear = mean_chroma > GREY_CHROMA + GREY_MARGIN and first - second > SECTOR_LEAD
    return COLOURS[1 + int(shares.argmax())], bool(clear)
