"""What is true of a clip, shot by shot, and what a caption of it is worth."""

import numpy as np
import pytest

from flexivideo.plain_world.heading import Motion
from flexivideo.plain_world.judgement import (
    ATTRIBUTES,
    Judgement,
    Score,
    ShotTruth,
    judge,
    judge_shot,
    shot_starts,
)
from flexivideo.plain_world.words import VOCABULARY, Words, caption_of

GREEN = Words(light="dark", detail="plain", colour="green", amount="slow", heading="left")
BLUE = Words(light="bright", detail="detailed", colour="blue", amount="still")


def truth(*words, unclear=()):
    clear = frozenset(VOCABULARY) - set(unclear)
    return Judgement(shots=tuple(ShotTruth(words=each, clear=clear) for each in words))


def motion_of(n_frames):
    place = np.zeros((1, 2))
    return [Motion(places=place, speeds=place + 0.3, weights=np.ones(1))] * n_frames


def levels(*greys):
    return np.stack([np.full((14, 14, 3), grey, np.uint8) for grey in greys])


def test_a_true_caption_is_right_in_everything():
    for judgement in (truth(GREEN), truth(GREEN, BLUE), truth(BLUE, GREEN, BLUE)):
        scores = judgement.score(caption_of(judgement.words))
        assert scores == dict.fromkeys(ATTRIBUTES, Score.RIGHT)


def test_a_caption_is_compared_attribute_by_attribute():
    said = Words(light="dark", detail="detailed", colour="blue", amount="slow", heading="right")
    assert truth(GREEN, unclear={"detail"}).score(caption_of((said,))) == {
        "shots": Score.RIGHT,
        "light": Score.RIGHT,
        "detail": Score.NOT_SCORED,
        "colour": Score.WRONG,
        "amount": Score.RIGHT,
        "heading": Score.WRONG,
        "thing": Score.RIGHT,
    }


def test_one_wrong_shot_makes_an_attribute_wrong():
    scores = truth(GREEN, BLUE).score(caption_of((GREEN, GREEN)))
    assert scores["colour"] is Score.WRONG
    assert scores["thing"] is Score.RIGHT


@pytest.mark.parametrize("caption", [None, "", "I cannot say.", caption_of((GREEN, BLUE))])
def test_a_caption_of_another_form_or_number_of_shots_is_wrong_where_it_is_scored(caption):
    """Silence must not count as right."""
    scores = truth(GREEN, unclear={"light"}).score(caption)
    assert scores.pop("light") is Score.NOT_SCORED
    assert set(scores.values()) == {Score.WRONG}


def test_where_the_number_of_shots_is_unclear_nothing_is_scored():
    unclear = Judgement(shots=truth(GREEN).shots, is_clear=False)
    assert set(unclear.score(caption_of((GREEN,))).values()) == {Score.NOT_SCORED}


def test_shots_begin_where_the_pipeline_sees_a_cut():
    assert shot_starts(levels(10, 12, 200, 201, 10)) == ([0, 2, 4], True)
    assert shot_starts(levels(10)) == ([0], True)


def test_near_a_cuts_difference_it_is_not_clear():
    """One grey level of all three channels is 0.03 of Delta."""
    assert shot_starts(levels(100, 100 + 30))[1] is False


def test_a_clip_is_judged_shot_by_shot():
    frames = levels(20, 20, 20, 180, 180, 180)
    found = judge(frames, np.arange(6) / 4, motion_of(6))
    assert [words.light for words in found.words] == ["dark", "bright"]
    assert found.is_clear


def test_what_is_still_has_no_heading_whatever_moves_unseen():
    frames = levels(80, 80, 80, 80)
    shot = judge_shot(frames, np.arange(4) / 4, motion_of(1)[0], thing="red circle")
    assert (shot.words.amount, shot.words.heading, shot.words.thing) == (
        "still",
        "nowhere",
        "nothing",
    )


def test_a_truth_reads_back_equal():
    shot = truth(GREEN, unclear={"amount"}).shots[0]
    assert ShotTruth.from_json(shot.to_json()) == shot
