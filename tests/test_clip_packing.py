import numpy as np
import pytest

from pipeline.clip_packing import ClipPacker, SceneRecord
from pipeline.settings import PackingSettings


def scene_run(rng, number):
    scenes, start_s = [], 0.0
    for index in range(number):
        end_s = start_s + float(rng.choice([0.5, 1.0, 3.0, 12.0]))
        scenes.append(
            SceneRecord(
                scene_index=index,
                start_pts=int(start_s * 1000),
                end_pts=int(end_s * 1000),
                start_s=start_s,
                end_s=end_s,
                n_frames=2,
                cut_delta=None if not index else float(rng.choice([0.3, 2.0])),
                frame_deltas=[0.0, 0.1],
                stored=np.zeros((2, 28, 28, 3), np.uint8),
                picture=np.zeros((4, 4, 3), np.uint8),
            )
        )
        start_s = end_s
    return scenes


def pack(scenes, settings, tokens_per_scene=10):
    packer = ClipPacker(settings, tokens_per_scene=tokens_per_scene)
    clips = [clip for clip in map(packer.push, scenes) if clip]
    last = packer.finish()
    return clips + ([last] if last else [])


SETTINGS = PackingSettings(clip_s=10, min_clip_s=2, cut_delta=1.0, max_clip_tokens=80)


@pytest.fixture
def packed(rng):
    return pack(scene_run(rng, 300), SETTINGS)


def test_clips_tile_the_scenes(packed):
    indices = [scene.scene_index for clip in packed for scene in clip.scenes]
    assert indices == list(range(300))
    assert [clip.clip_index for clip in packed] == list(range(len(packed)))


def test_a_clip_exceeds_a_limit_only_where_a_single_scene_does(packed):
    for clip in packed:
        length_s = clip.scenes[-1].end_s - clip.scenes[0].start_s
        assert length_s <= SETTINGS.clip_s or len(clip.scenes) == 1
        assert len(clip.scenes) * 10 <= SETTINGS.max_clip_tokens


def test_a_clip_ends_at_the_first_cut_after_its_least_length(packed):
    """A caption across a cut describes two things at once."""
    for clip in packed:
        begin_s = clip.scenes[0].start_s
        for scene in clip.scenes[1:]:
            is_cut = scene.cut_delta >= SETTINGS.cut_delta
            assert not (is_cut and scene.start_s - begin_s >= SETTINGS.min_clip_s)


def test_each_boundary_says_why(packed):
    first, *others = packed
    assert first.boundary == "start"
    for before, clip in zip(packed, others, strict=False):
        assert clip.boundary in ("cut", "limit")
        if clip.boundary == "cut":
            assert clip.scenes[0].cut_delta >= SETTINGS.cut_delta
        else:
            together_s = clip.scenes[0].end_s - before.scenes[0].start_s
            heavy = (len(before.scenes) + 1) * 10 > SETTINGS.max_clip_tokens
            assert together_s > SETTINGS.clip_s or heavy
    assert {clip.boundary for clip in others} == {"cut", "limit"}  # both were met


def test_only_the_first_scene_of_a_clip_keeps_its_picture(packed):
    """The others' would fill the memory of a busy clip."""
    for clip in packed:
        first, *others = clip.scenes
        assert first.picture is not None
        assert all(scene.picture is None for scene in others)


def test_a_video_without_scenes_has_no_clips():
    assert pack([], SETTINGS) == []
