"""Rendered training examples: each from its number alone, in scenes as they are asked for."""

from functools import partial

import numpy as np
import pytest

from flexivideo.plain_world.words import parse_caption
from jobs.embedded_architecture import make_processor
from jobs.rendered_examples import (
    HELD_OUT_SEED,
    SCENE_FRAMES,
    RenderedExamples,
    held_out_clips,
    in_scenes,
    in_windows,
)


@pytest.fixture(scope="module")
def processor():
    return make_processor()


def opened(processor, **settings):
    examples = RenderedExamples(**{"n_examples": 640, "seed": 3} | settings)
    examples.open(processor, 1000)
    return examples


def frames_of(example):
    return [scene.frames for scene in example.clip.scenes]


def test_an_example_is_its_number(processor):
    """However often, in whatever order and process: else no run could go on after kill -9."""
    first, again = opened(processor), opened(processor)
    numbers = [13, 2, 13]
    for number in numbers:
        one, other = first.load(number), again.load(number)
        assert one.text == other.text
        for frames, others in zip(frames_of(one), frames_of(other), strict=True):
            np.testing.assert_array_equal(frames, others)
    assert first.digest == again.digest


def test_each_is_seen_once(processor):
    examples = opened(processor)
    numbers = [number for step in range(10) for number in examples.of_step(step, 64, seed=9)]
    assert numbers == list(range(640))


def test_what_differs_has_another_digest(processor):
    """A run goes on with its own examples only."""
    kinds = [{}, {"seed": 4}, {"n_examples": 64}, {"in_one_scene": True}, {"window_frames": 2}]
    assert len({opened(processor, **kind).digest for kind in kinds}) == len(kinds)


def test_one_scene_holds_all_frames(processor):
    examples = opened(processor, in_one_scene=True)
    lengths = set()
    for number in range(24):
        example = examples.load(number)
        (scene,) = example.clip.scenes
        lengths.add(scene.n_frames)
        assert len(parse_caption(example.caption)) == 1
    assert lengths == set(range(SCENE_FRAMES[0], SCENE_FRAMES[1] + 1))


@pytest.mark.parametrize(
    "cut", [partial(in_scenes, tau=0.5), *(partial(in_windows, n_frames=n) for n in (2, 6, 99))]
)
def test_scenes_and_windows_tile_a_clip(processor, cut):
    for clip in held_out_clips(processor, 6, n_shots=2, seed=5):
        scenes = cut(clip).scenes
        assert [scene.end_s for scene in scenes[:-1]] == [scene.start_s for scene in scenes[1:]]
        joined = np.concatenate([scene.frames for scene in scenes])
        np.testing.assert_array_equal(joined, clip.frames)
        assert len(clip.truth.shots) == 2


def test_windows_have_their_length_but_for_the_last(processor):
    examples = opened(processor, window_frames=6)
    for number in range(12):
        *lengths, last = [scene.n_frames for scene in examples.load(number).clip.scenes]
        assert set(lengths) <= {6}
        assert 1 <= last <= 6


def test_held_out_clips_are_no_examples(processor):
    """Seeds of training are far from theirs, and the clips are others."""
    held_out = {clip.frames[0].tobytes() for clip in held_out_clips(processor, 20)}
    trained = {frames_of(opened(processor).load(number))[0][0].tobytes() for number in range(20)}
    assert HELD_OUT_SEED > 100_000
    assert not held_out & trained
