"""The written rule: what it says of pixels, where it is silent, and how captions are compared."""

from itertools import product

import numpy as np
import pytest

from flexivideo.plain_words import (
    ATTRIBUTES,
    LIGHT_MARGIN,
    LIGHT_THRESHOLDS,
    VOCABULARY,
    Judgement,
    Score,
    Words,
    judge,
    measure,
    parse_caption,
)

HEIGHT_PX, WIDTH_PX = 28, 56
PURE = {
    "red": (200, 10, 10),
    "orange": (220, 120, 10),
    "yellow": (220, 210, 10),
    "green": (10, 200, 30),
    "blue": (20, 60, 220),
    "purple": (160, 20, 200),
    "grey": (120, 120, 120),
}


def still(colour, n_frames=4):
    return np.full((n_frames, HEIGHT_PX, WIDTH_PX, 3), colour, np.uint8)


def noisy(n_frames=4, seed=0, low=0, high=255):
    shape = (n_frames, HEIGHT_PX, WIDTH_PX, 3)
    return np.random.default_rng(seed).integers(low, high, shape, np.uint8)


def at_2_fps(frames):
    return judge(frames, np.arange(len(frames)) / 2)


ALL_WORDS = [
    Words(**dict(zip(VOCABULARY, words, strict=True))) for words in product(*VOCABULARY.values())
]


def test_every_caption_reads_back_as_its_words():
    """parse_caption(words.caption()) == words, for all of them; a word lost here scores wrong."""
    assert len(ALL_WORDS) == np.prod([len(words) for words in VOCABULARY.values()])
    assert [parse_caption(words.caption()) for words in ALL_WORDS] == ALL_WORDS
    assert len({words.caption() for words in ALL_WORDS}) == len(ALL_WORDS)


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "A bright view.",
        "A bright, detailed view, mostly pink, with slow movement.",
        "A bright, detailed view, mostly green, with slow movement. And more.",
        "A detailed, bright view, mostly green, with slow movement.",
    ],
)
def test_text_outside_the_grammar_has_no_words(caption):
    assert parse_caption(caption) is None


@pytest.mark.parametrize("colour", PURE)
def test_a_pure_colour_has_its_name(colour):
    found = at_2_fps(still(PURE[colour]))
    assert (found.words.colour, "colour" in found.clear) == (colour, True)


@pytest.mark.parametrize(("level", "light"), [(20, "dark"), (85, "dim"), (180, "bright")])
def test_light_is_the_mean_level(level, light):
    assert at_2_fps(still(level)).words.light == light


@pytest.mark.parametrize("threshold", LIGHT_THRESHOLDS)
def test_nothing_is_scored_within_the_margin(threshold):
    """Recompression moves a level by a few: on the threshold no word can be right or wrong."""
    for level, clear in ((threshold, False), (threshold - LIGHT_MARGIN - 2, True)):
        assert ("light" in at_2_fps(still(int(level))).clear) is clear


def test_a_flat_picture_is_plain_and_a_busy_one_detailed():
    assert at_2_fps(still(90)).words.detail == "plain"
    assert at_2_fps(noisy()).words.detail == "detailed"


def test_amounts_follow_what_changes_in_half_a_second():
    rest = np.repeat(noisy(1, low=90, high=130), 6, axis=0)
    creeping = rest.copy()
    for index in range(6):
        creeping[index] += np.uint8(4 * index)  # Delta is about 0.03 a grey level
    for frames, amount in ((rest, "still"), (creeping, "slow"), (noisy(6), "fast")):
        found = at_2_fps(frames)
        assert (found.words.amount, "amount" in found.clear) == (amount, True)


def test_one_frame_says_nothing_of_movement():
    assert "amount" not in at_2_fps(noisy(1)).clear


def test_a_denser_sampling_says_the_same():
    """Change is measured over half a second, not from frame to frame: fps must not change words."""
    frames = noisy(5, low=60, high=90)
    slow = measure(frames, np.arange(5) / 2)
    dense = measure(np.repeat(frames, 2, axis=0), np.arange(10) / 4)
    assert dense.change == pytest.approx(slow.change, rel=0.02)


def test_the_time_at_which_a_clip_begins_does_not_matter():
    frames = noisy()
    assert judge(frames, np.arange(4) / 2) == judge(frames, 3600.1 + np.arange(4) / 2)


def test_mirroring_changes_no_word():
    frames = noisy(seed=3, low=40, high=120)
    assert at_2_fps(frames) == at_2_fps(frames[:, :, ::-1]) == at_2_fps(frames[:, ::-1])


def test_a_caption_is_compared_attribute_by_attribute():
    words = Words(light="dark", detail="plain", colour="green", amount="slow")
    truth = Judgement(words=words, clear=frozenset(ATTRIBUTES) - {"detail"})
    said = Words(light="dark", detail="detailed", colour="blue", amount="slow").caption()
    assert truth.score(said) == {
        "light": Score.RIGHT,
        "detail": Score.NOT_SCORED,
        "colour": Score.WRONG,
        "amount": Score.RIGHT,
    }


@pytest.mark.parametrize("caption", [None, "", "I cannot say."])
def test_a_caption_outside_the_grammar_is_wrong_where_it_is_scored(caption):
    """Silence must not count as right."""
    truth = at_2_fps(still(PURE["green"]))
    scores = set(truth.score(caption).values())
    assert Score.WRONG in scores
    assert Score.RIGHT not in scores


def test_a_judgement_reads_back_equal():
    truth = at_2_fps(noisy())
    assert Judgement.from_json(truth.to_json()) == truth


def test_a_word_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="pink"):
        Words(light="dark", detail="plain", colour="pink", amount="slow")


@pytest.mark.parametrize(("n_frames", "n_times"), [(0, 0), (3, 2)])
def test_frames_and_times_must_agree(n_frames, n_times):
    with pytest.raises(ValueError, match=f"{n_frames} frames came with {n_times} times"):
        judge(still(0, n_frames), np.arange(n_times) / 2)
