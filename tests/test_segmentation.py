import numpy as np
import pytest

from flexivideo.segmentation import SceneSegmenter, frame_difference, segment

IMAGENET_STD = np.array([0.229, 0.224, 0.225])


def walk(rng, n_frames=60, step=6, shape=(8, 10, 3)):
    """Frames that drift by random steps, with scenes of many lengths."""
    frames = [rng.integers(0, 255, shape)]
    for _ in range(n_frames - 1):
        frames.append(frames[-1] + rng.integers(-step, step + 1, shape) * (rng.random() < 0.7))
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def delta_of_the_paper(frame, reference):
    """1 / HW sum over pixels of || f(i,j) - g(i,j) ||_2, frames ImageNet-normalised."""
    normalised = [(picture / 255 - 0.45) / IMAGENET_STD for picture in (frame, reference)]
    return np.linalg.norm(normalised[0] - normalised[1], axis=-1).mean()


def test_the_difference_is_the_papers(rng):
    frame, reference = rng.integers(0, 255, (2, 7, 5, 3)).astype(np.uint8)
    expected = delta_of_the_paper(frame, reference)
    assert frame_difference(frame, reference) == pytest.approx(expected, rel=1e-5)


def test_a_stride_compares_every_nth_pixel(rng):
    frame, reference = rng.integers(0, 255, (2, 9, 11, 3)).astype(np.uint8)
    expected = delta_of_the_paper(frame[::4, ::4], reference[::4, ::4])
    assert frame_difference(frame, reference, stride=4) == pytest.approx(expected, rel=1e-5)


def test_scenes_of_a_stride_see_those_pixels_alone(rng):
    frames = np.zeros((6, 8, 12, 3), np.uint8)
    frames[:, 1::2] = rng.integers(0, 255, (6, 4, 12, 3))  # rows that a stride of 2 leaves out
    assert [(s.start, s.end) for s in segment(frames, tau=0.0, stride=2)] == [(0, 6)]
    assert len(segment(frames, tau=0.0)) == 6


@pytest.mark.parametrize("tau", [0.0, 0.05, 0.2, 0.8])
@pytest.mark.parametrize("cap", [1, 3, 64])
def test_scenes_tile_obey_the_definition_and_are_maximal_up_to_the_cap(rng, tau, cap):
    """l = max{n | Delta(f_{t0+m}, f_{t0}) <= tau for all m < n}, at most the cap."""
    frames = walk(rng)
    scenes = segment(frames, tau=tau, max_scene_frames=cap)
    assert [scene.start for scene in scenes] == [0, *(scene.end for scene in scenes[:-1])]
    assert scenes[-1].end == len(frames)
    for scene in scenes:
        length = scene.end - scene.start
        deltas = [frame_difference(f, frames[scene.start]) for f in frames[scene.start : scene.end]]
        assert scene.frame_deltas == pytest.approx(deltas)
        assert max(deltas) <= tau
        assert 1 <= length <= cap
        if scene.end < len(frames) and length < cap:
            assert frame_difference(frames[scene.end], frames[scene.start]) > tau


def test_the_random_walk_has_scenes_of_several_lengths(rng):
    """Else the law above would be tested on trivial cases alone."""
    lengths = {scene.end - scene.start for scene in segment(walk(rng), tau=0.2)}
    assert len(lengths) > 3


def test_cut_delta_is_the_difference_to_the_frame_before(rng):
    frames = walk(rng)
    first, *others = segment(frames, tau=0.1)
    assert first.cut_delta is None
    for scene in others:
        expected = frame_difference(frames[scene.start], frames[scene.start - 1])
        assert scene.cut_delta == pytest.approx(expected)


def test_a_stream_and_a_whole_give_the_same_scenes(rng):
    frames = walk(rng)
    segmenter = SceneSegmenter(tau=0.15)
    starts = [i for i, frame in enumerate(frames) if segmenter.push(frame).starts_scene]
    assert starts == [scene.start for scene in segment(frames, tau=0.15)]


def test_the_segmenter_does_not_keep_the_callers_array(rng):
    """A decoder reuses its buffers; a reference that changes under us would lose cuts."""
    segmenter, buffer = SceneSegmenter(tau=0.2), np.zeros((4, 4, 3), np.uint8)
    segmenter.push(buffer)
    buffer[:] = 255
    assert segmenter.push(buffer).starts_scene


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"tau": -0.1}, "-0.1"), ({"tau": float("nan")}, "nan"), ({"tau": 1, "stride": 0}, "stride")],
)
def test_settings_out_of_range_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        SceneSegmenter(**arguments)


def test_no_frame_has_no_scenes():
    with pytest.raises(ValueError, match="at least one"):
        segment(np.empty((0, 4, 6, 3), np.uint8), tau=0.2)


def test_frames_of_another_kind_or_size_are_refused_with_both_shapes():
    segmenter = SceneSegmenter(tau=0.2)
    with pytest.raises(ValueError, match="float64"):
        segmenter.push(np.zeros((4, 4, 3)))
    segmenter.push(np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ValueError, match=r"4, 8.*4, 6|4, 6.*4, 8"):
        segmenter.push(np.zeros((4, 8, 3), np.uint8))
