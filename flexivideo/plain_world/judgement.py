"""What is true of a clip, and what a caption of it is worth.

Shots are told apart by what a cut is to the pipeline: a frame that differs from the one before by
more than one unit of the paper's Delta. Where a difference is near that, nothing about the clip is
clear. What is not clear is neither right nor wrong: not scored.

Shapes: T frames, H, W pixels, 3 RGB.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.heading import Motion, heading_of
from flexivideo.plain_world.measures import Times, measure, words_of
from flexivideo.plain_world.words import NOTHING, NOWHERE, STILL, VOCABULARY, Words, parse_caption
from flexivideo.segmentation import frame_difference

__all__ = ["ATTRIBUTES", "Judgement", "Score", "ShotTruth", "judge", "judge_shot", "shot_starts"]

# How many shots, and then what is said of each.
SHOTS = "shots"
ATTRIBUTES = (SHOTS, *VOCABULARY)

# Frame difference across a cut, and how near to it nothing is clear.
CUT_DELTA = 1.0
CUT_RATIO = 1.3


class Score(StrEnum):
    """What a caption's word is worth."""

    RIGHT = "right"
    WRONG = "wrong"
    NOT_SCORED = "not scored"


@dataclass(frozen=True, kw_only=True)
class ShotTruth:
    """The words that are true of a shot, and the attributes clear enough to be scored."""

    words: Words
    clear: frozenset[str]

    def to_json(self) -> dict[str, Any]:
        """As plain values; :meth:`from_json` reads them back equal."""
        return {"words": asdict(self.words), "scored": sorted(self.clear)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ShotTruth":
        """Inverse of :meth:`to_json`."""
        return cls(words=Words(**document["words"]), clear=frozenset(document["scored"]))


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is true of a clip.

    Attributes:
        shots: of each shot in turn.
        is_clear: whether it is clear how many there are; else nothing is scored.
    """

    shots: tuple[ShotTruth, ...]
    is_clear: bool = True

    @property
    def words(self) -> tuple[Words, ...]:
        """What a caption should say."""
        return tuple(shot.words for shot in self.shots)

    def clear(self, attribute: str) -> bool:
        """Whether an attribute is scored: it is where it is clear in any shot."""
        return self.is_clear and (
            attribute == SHOTS or any(attribute in shot.clear for shot in self.shots)
        )

    def score(self, caption: str | None) -> dict[str, Score]:
        """Each attribute's score: right where it is right in all shots in which it is clear.

        A caption outside the grammar, or of another number of shots, has all that is scored wrong.
        """
        said = parse_caption(caption or "")
        if said is not None and len(said) != len(self.shots):
            said = None
        scores = {}
        for name in ATTRIBUTES:
            is_right = said is not None and all(
                getattr(words, name) == getattr(shot.words, name)
                for words, shot in zip(said, self.shots, strict=True)
                if name in shot.clear
            )
            scored = Score.RIGHT if is_right else Score.WRONG
            scores[name] = scored if self.clear(name) else Score.NOT_SCORED
        return scores


def judge(frames_THWC: NDArray[np.uint8], times_s: Times, motion: Sequence[Motion]) -> Judgement:
    """What is true of a clip of footage, by its pixels and the motion at each frame.

    Args:
        frames_THWC: the clip's sampled frames, uint8 [T,H,W,3], at the size the model sees.
        times_s: when each is shown, rising, seconds.
        motion: around each of the frames.
    """
    starts, is_clear = shot_starts(frames_THWC)
    bounds = zip(starts, [*starts[1:], len(frames_THWC)], strict=True)
    return Judgement(
        shots=tuple(
            judge_shot(frames_THWC[a:b], times_s[a:b], Motion.joined(list(motion[a:b])))
            for a, b in bounds
        ),
        is_clear=is_clear,
    )


def judge_shot(
    frames_THWC: NDArray[np.uint8], times_s: Times, motion: Motion, *, thing: str = NOTHING
) -> ShotTruth:
    """What is true of one shot; ``thing`` is the coloured shape that moves in it."""
    found = words_of(measure(frames_THWC, times_s))
    found["heading"], found["thing"] = heading_of(motion), (thing, True)
    amount, amount_is_clear = found["amount"]
    if amount == STILL:  # what moves unseen has no heading
        found["heading"], found["thing"] = (NOWHERE, amount_is_clear), (NOTHING, amount_is_clear)
    return ShotTruth(
        words=Words(**{name: word for name, (word, _) in found.items()}),
        clear=frozenset(name for name, (_, clear) in found.items() if clear),
    )


def shot_starts(frames_THWC: NDArray[np.uint8]) -> tuple[list[int], bool]:
    """Indices of the frames that start shots, and whether no difference is near a cut's."""
    deltas = [frame_difference(after, before) for before, after in pairwise(frames_THWC)]
    near = [CUT_DELTA / CUT_RATIO < delta < CUT_DELTA * CUT_RATIO for delta in deltas]
    return [0, *(i + 1 for i, delta in enumerate(deltas) if delta > CUT_DELTA)], not any(near)
