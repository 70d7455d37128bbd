"""Vocabulary and grammar: every true sentence reads back, nothing else does."""

import pytest

from flexivideo.plain_world.words import (
    Words,
    caption_of,
    every_words,
    parse_caption,
)

ALL_WORDS = list(every_words())


def test_nothing_that_can_be_said_is_left_out():
    """Light, detail, colour; nothing moves, or slow or fast, in a way, with a shape or none."""
    assert len(set(ALL_WORDS)) == len(ALL_WORDS) == 3 * 2 * 7 * (1 + 2 * 7 * 16)


def test_every_caption_reads_back_as_its_words():
    """parse_caption(caption_of(words)) == words, for all; a word lost here scores wrong."""
    captions = [caption_of((words,)) for words in ALL_WORDS]
    assert [parse_caption(caption) for caption in captions] == [(words,) for words in ALL_WORDS]
    assert len(set(captions)) == len(ALL_WORDS)


@pytest.mark.parametrize("n_shots", [2, 3])
def test_shots_stay_in_order(n_shots):
    shots = tuple(ALL_WORDS[:: len(ALL_WORDS) // n_shots][:n_shots])
    caption = caption_of(shots)
    assert caption.count(", then ") == n_shots - 1
    assert parse_caption(caption) == shots


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "A",
        ".",
        "A bright view.",
        "A bright, detailed view, mostly pink, with slow movement.",
        "A bright, detailed view, mostly green, with slow movement. And more.",
        "A detailed, bright view, mostly green, with slow movement.",
        "A bright, detailed view, mostly green, with slow movement sideways.",
        "A bright, detailed view, mostly green, with still movement.",
        "A bright, detailed view, mostly green, without movement, then.",
        "a bright, detailed view, mostly green, without movement.",
    ],
)
def test_text_outside_the_grammar_has_no_words(caption):
    assert parse_caption(caption) is None


def test_a_word_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="pink"):
        Words(light="dark", detail="plain", colour="pink", amount="slow")


@pytest.mark.parametrize("moving", [{"heading": "left"}, {"thing": "red circle"}])
def test_what_is_still_goes_nowhere(moving):
    with pytest.raises(ValueError, match="nothing moves"):
        Words(light="dark", detail="plain", colour="grey", amount="still", **moving)
