"""Words whose truth can be computed from any footage, and the sentences they stand in.

A shot is dark, dim or bright; plain or detailed; mostly of one colour; and there is no, slow or
fast movement in it, which may have a heading. In rendered shots a coloured shape may be what moves.
The shots of a clip follow one another with "then":

    A bright, detailed view, mostly green, with slow movement to the left.
    A dim, plain view, mostly blue, without movement, then a bright, plain view, mostly grey, with a
    red circle in fast movement upwards.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product

__all__ = [
    "AMOUNTS",
    "COLOURS",
    "DETAILS",
    "EMBEDDED_LIMITS",
    "FORMS",
    "HEADINGS",
    "LIGHTS",
    "NOTHING",
    "NOWHERE",
    "PAINTS",
    "STILL",
    "THINGS",
    "VOCABULARY",
    "WAYS",
    "Words",
    "caption_of",
    "every_words",
    "parse_caption",
]

# Said wherever the embedded checkpoint's captions are shown.
EMBEDDED_LIMITS = (
    "the embedded checkpoint tells light, colour, detail and movement, and knows nothing of "
    "people, objects, actions or speech; name a real model with --model"
)

LIGHTS = ("dark", "dim", "bright")
DETAILS = ("plain", "detailed")
COLOURS = ("grey", "red", "orange", "yellow", "green", "blue", "purple")
STILL = "still"
AMOUNTS = (STILL, "slow", "fast")

# What is seen moves to the left (as under a camera that pans to the right), ..., comes closer (as
# under one that zooms in) or goes away; or it moves in no common way.
NOWHERE = "nowhere"
WAYS = {
    "left": "to the left",
    "right": "to the right",
    "up": "upwards",
    "down": "downwards",
    "closer": "closer",
    "away": "away",
}
HEADINGS = (NOWHERE, *WAYS)

NOTHING = "nothing"
FORMS = ("circle", "square", "triangle")
PAINTS = ("red", "yellow", "green", "blue", "white")
THINGS = (NOTHING, *(f"{paint} {form}" for paint, form in product(PAINTS, FORMS)))

VOCABULARY = {
    "light": LIGHTS,
    "detail": DETAILS,
    "colour": COLOURS,
    "amount": AMOUNTS,
    "heading": HEADINGS,
    "thing": THINGS,
}


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is said of one shot: one word an attribute; see ``VOCABULARY``."""

    light: str
    detail: str
    colour: str
    amount: str
    heading: str = NOWHERE
    thing: str = NOTHING

    def __post_init__(self) -> None:
        for field in fields(self):
            words = VOCABULARY[field.name]
            if getattr(self, field.name) not in words:
                raise ValueError(
                    f"{field.name} is {getattr(self, field.name)!r}; expected one of "
                    f"{', '.join(words)}"
                )
        if self.amount == STILL and (self.heading, self.thing) != (NOWHERE, NOTHING):
            raise ValueError(
                f"amount is {STILL!r} with heading {self.heading!r} and thing {self.thing!r}; "
                f"expected {NOWHERE!r} and {NOTHING!r} where nothing moves"
            )

    def phrase(self) -> str:
        """The words as a part of a sentence."""
        return f"a {self.light}, {self.detail} view, mostly {self.colour}, {self._movement()}"

    def _movement(self) -> str:
        if self.amount == STILL:
            return "without movement"
        thing = "" if self.thing == NOTHING else f"a {self.thing} in "
        way = "" if self.heading == NOWHERE else f" {WAYS[self.heading]}"
        return f"with {thing}{self.amount} movement{way}"


def every_words() -> Iterator[Words]:
    """All that can be said of one shot."""
    movements = [(STILL, NOWHERE, NOTHING), *product(AMOUNTS[1:], HEADINGS, THINGS)]
    for light, detail, colour, movement in product(LIGHTS, DETAILS, COLOURS, movements):
        amount, heading, thing = movement
        yield Words(
            light=light, detail=detail, colour=colour, amount=amount, heading=heading, thing=thing
        )


def caption_of(shots: tuple[Words, ...]) -> str:
    """The sentence about a clip's shots; :func:`parse_caption` inverts it."""
    sentence = ", then ".join(words.phrase() for words in shots)
    return f"{sentence[0].upper()}{sentence[1:]}."


def parse_caption(caption: str) -> tuple[Words, ...] | None:
    """The words of a caption, shot by shot, or None where it does not follow the grammar."""
    sentence = caption.strip()
    if not (sentence.startswith("A ") and sentence.endswith(".")):
        return None
    phrases = f"a{sentence[1:-1]}".split(", then ")
    found = [_PHRASE.fullmatch(phrase) for phrase in phrases]
    return tuple(_words(match) for match in found if match) if all(found) else None


def _any_of(words: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, words))


_HEADING_OF = {way: heading for heading, way in WAYS.items()}
_PHRASE = re.compile(
    rf"a (?P<light>{_any_of(LIGHTS)}), (?P<detail>{_any_of(DETAILS)}) view, "
    rf"mostly (?P<colour>{_any_of(COLOURS)}), "
    rf"(?:without movement|with (?:a (?P<thing>{_any_of(THINGS[1:])}) in )?"
    rf"(?P<amount>{_any_of(AMOUNTS[1:])}) movement(?: (?P<way>{_any_of(tuple(_HEADING_OF))}))?)"
)


def _words(match: re.Match[str]) -> Words:
    found = match.groupdict()
    way = found.pop("way")
    return Words(
        light=found["light"],
        detail=found["detail"],
        colour=found["colour"],
        amount=found["amount"] or STILL,
        heading=_HEADING_OF[way] if way else NOWHERE,
        thing=found["thing"] or NOTHING,
    )
