"""What the figures of the model card count."""

from dataclasses import replace

from flexivideo.plain_world.judgement import Judgement, ShotTruth
from flexivideo.plain_world.words import VOCABULARY, Words, caption_of
from jobs.embedded_accuracy import accuracy

STILL = Words(light="dim", detail="plain", colour="grey", amount="still")
SWAYS = replace(STILL, amount="slow")
PASSES = replace(SWAYS, heading="left", thing="red circle")


def judged(*shots, unclear=()):
    clear = frozenset(VOCABULARY) - set(unclear)
    return Judgement(shots=tuple(ShotTruth(words=words, clear=clear) for words in shots))


def test_a_word_that_is_not_clear_counts_for_verbatim_alone():
    said = caption_of((replace(STILL, light="dark"),))
    figures = accuracy([(judged(STILL, unclear=["light"]), said), (judged(STILL), said)])
    assert figures["exact"] == {"accuracy": 0.5, "scored": 2}
    assert figures["verbatim"] == 0.0
    assert figures["light"]["accuracy"] == 0.0
    assert figures["light"]["scored"] == 1


def test_only_what_is_said_of_clips_without_any_is_invented():
    figures = accuracy(
        [
            (judged(SWAYS), caption_of((PASSES,))),  # invents both
            (judged(SWAYS), caption_of((SWAYS,))),
            (judged(PASSES), caption_of((PASSES,))),  # has them
            (judged(SWAYS), caption_of((SWAYS, SWAYS))),  # another mistake
            (judged(SWAYS), None),
            (judged(SWAYS, unclear=["heading"]), caption_of((PASSES,))),
        ]
    )
    assert figures["invented"] == {"thing": "2/5", "heading": "1/4"}
    assert figures["verbatim"] == 0.333
