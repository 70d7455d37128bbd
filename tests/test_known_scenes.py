"""Scenes that are known stand in for ATS: same frames, same scenes; other frames, an error."""

from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest
from dataset_helpers import commit_under, identity_of, make_ref, undone, writing
from decode_helpers import make_plan
from synthetic_media import textured_shots, write_video

from flexivideo.errors import DatasetError, SourceUnavailable
from flexivideo.segmentation import FrameStep, SceneSegmenter
from pipeline.assembly import Assembler
from pipeline.decode_stage import DecodeStage
from pipeline.indexed_scenes import IndexedScenes
from pipeline.known_scenes import KnownScenes
from pipeline.local_uri import to_uri
from pipeline.outcomes import ErrorKind
from pipeline.records import (
    CAPTIONED_SCHEMA,
    KNOWN_SCENE_TYPE,
    REF_SCHEMA,
    KnownScene,
    VideoRef,
)
from pipeline.settings import SegmentationSettings
from pipeline.sources import local_ref
from pipeline.store import open_store
from pipeline.video_rows import video_rows

SEGMENTATION = SegmentationSettings(sample_fps=2.0, tau=0.3)


def known_of(scenes: list[dict]) -> tuple[KnownScene, ...]:
    names = [field.name for field in KNOWN_SCENE_TYPE]
    return tuple(KnownScene(**{name: scene[name] for name in names}) for scene in scenes)


@pytest.fixture
def segmented(rng):
    """Frames' times, the steps that ATS took through them, and its scenes."""
    frames = np.cumsum(rng.integers(-30, 30, (60, 6, 8, 3)), axis=0).clip(0, 255).astype(np.uint8)
    segmenter = SceneSegmenter(tau=0.3, max_scene_frames=5)
    pts = np.cumsum(rng.integers(1, 90, len(frames))).tolist()
    steps = [segmenter.push(frame) for frame in frames]
    starts = [number for number, step in enumerate(steps) if step.starts_scene]
    scenes = [
        KnownScene(
            start_pts=pts[start],
            n_frames=end - start,
            cut_delta=steps[start].cut_delta,
            frame_deltas=[step.delta for step in steps[start:end]],
        )
        for start, end in zip(starts, [*starts[1:], len(frames)], strict=True)
    ]
    assert len({scene.n_frames for scene in scenes}) > 2
    return pts, steps, scenes


def walk(known: KnownScenes, times: list[int]) -> list[FrameStep]:
    steps = [known.push(time) for time in times]
    known.finish()
    return steps


def test_known_scenes_take_the_steps_of_ats(segmented):
    pts, steps, scenes = segmented
    assert walk(KnownScenes(scenes), pts) == steps


OTHER_FRAMES = {
    "first frame moved": lambda pts, second: [pts[0] + 1, *pts[1:]],
    "a scene begins elsewhere": lambda pts, second: [time + (time == second) for time in pts],
    "a frame gone": lambda pts, second: [time for time in pts if time != second],
    "a frame more": lambda pts, second: sorted([*pts, second - 1]),
    "frames after the last scene": lambda pts, second: [*pts, pts[-1] + 1],
    "the last frame gone": lambda pts, second: pts[:-1],
    "none at all": lambda pts, second: [],
}


@pytest.mark.parametrize("how", OTHER_FRAMES)
def test_other_frames_than_the_scenes_are_an_error(segmented, how):
    pts, _, scenes = segmented
    times = OTHER_FRAMES[how](pts, scenes[1].start_pts)
    with pytest.raises(SourceUnavailable, match="stored scenes") as caught:
        walk(KnownScenes(scenes), times)
    assert caught.value.error_kind == ErrorKind.SOURCE_CHANGED


@pytest.fixture
def shots(tmp_path, rng):
    return write_video(tmp_path / "shots.mp4", textured_shots(rng, 4, 35))


def rows_of(ref: VideoRef, **segmentation) -> list[dict]:
    plan = make_plan()
    plan = replace(plan, segmentation=replace(plan.segmentation, **segmentation))
    rows = [row for batch in video_rows(ref, "attempt", plan) for row in batch.to_pylist()]
    return [{name: value for name, value in row.items() if not name.endswith("_s")} for row in rows]


def test_a_video_with_its_scenes_gives_the_rows_that_ats_gave(shots):
    """Every byte, under a tau that would have cut it otherwise."""
    ref = local_ref(to_uri(str(shots)))
    by_ats = rows_of(ref)
    known = known_of([scene for row in by_ats for scene in row["scenes"] or ()])
    assert len(known) >= 4
    assert rows_of(replace(ref, known_scenes=known), tau=9.0) == by_ats
    assert rows_of(ref, tau=9.0) != by_ats


def test_a_video_that_is_no_longer_the_one_of_its_scenes_is_unavailable(shots):
    ref = local_ref(to_uri(str(shots)))
    known = known_of([scene for row in rows_of(ref) for scene in row["scenes"] or ()])
    *_, last = rows_of(replace(ref, known_scenes=known[:-1]))
    assert (last["outcome"]["status"], last["outcome"]["error_kind"]) == (
        "unavailable",
        "source_changed",
    )


def stage_outcome(stage, ref):
    tables = list(stage(pa.Table.from_pylist([asdict(ref)], schema=REF_SCHEMA)))
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["kind"] for row in rows] == ["clip"] * (len(rows) - 1) + ["video"]
    return rows[-1]["outcome"]


def test_a_video_that_was_segmented_is_cut_into_its_scenes_unless_they_are_others(shots, tmp_path):
    """A decoder of another release may give other frames; then ATS has to look again."""
    store, ref = open_store(str(tmp_path / "root")), local_ref(to_uri(str(shots)))
    plan = replace(make_plan(), root=store.root)
    identity = identity_of(SEGMENTATION)
    with writing(store, identity=identity) as committer, Assembler() as assembler:
        rows = [row for batch in video_rows(ref, "a", plan) for row in batch.to_pylist()]
        said = {
            "caption_busy_s": 0.0,
            "caption_cpu_s": 0.0,
            "caption_status": "success",
            "caption": "It is.",
        }
        captioned = [row | said for row in rows]
        committer.add(*assembler.push(pa.Table.from_pylist(captioned, schema=CAPTIONED_SCHEMA)))
        receipt = committer.commit()
    (again,) = undone(store, replace(identity, prompt_id="other"), [ref])
    assert again.scenes_commit_id == receipt.commit_id
    stage = DecodeStage(plan)
    outcome = stage_outcome(stage, again)
    assert (outcome["status"], outcome["scenes_commit_id"]) == ("success", receipt.commit_id)
    # A row of a scene names its clip, so another packing has to write the rows again.
    (packed_otherwise,) = undone(store, replace(identity, packing_id="other"), [ref])
    assert packed_otherwise.scenes_commit_id is None
    # One that is refused has none.
    stage.close()
    stage = DecodeStage(replace(plan, decode=replace(plan.decode, max_duration_s=1.0)))
    outcome = stage_outcome(stage, again)
    assert (outcome["status"], outcome["scenes_commit_id"]) == ("skipped", None)
    sparser = replace(plan, segmentation=replace(plan.segmentation, sample_fps=1.0))
    stage.close()
    stage = DecodeStage(sparser)
    outcome = stage_outcome(stage, again)
    assert (outcome["status"], outcome["scenes_commit_id"]) == ("success", None)
    stage.close()


def test_a_dataset_gives_its_videos_scenes_and_their_segmentation(tmp_path):
    refs = [make_ref("a"), make_ref("b")]
    commit_under(open_store(str(tmp_path)), SEGMENTATION, *refs)
    indexed = IndexedScenes(open_store(str(tmp_path)))
    assert indexed.segmentation == SEGMENTATION
    scenes = indexed.of(refs[1].video_id)
    assert [(scene.start_pts, scene.n_frames) for scene in scenes] == [
        (1000 * number, 2) for number in range(6)
    ]
    assert [scene.cut_delta for scene in scenes] == [None, 1.5, 1.5, 1.5, 1.5, 1.5]
    assert scenes[0].frame_deltas == pytest.approx([0.0, 0.1])
    assert indexed.of(make_ref("a", "2-2").video_id) is None


def test_scenes_of_several_segmentations_are_refused(tmp_path):
    store = open_store(str(tmp_path))
    for name, tau in (("a", 0.2), ("b", 0.4)):
        commit_under(store, replace(SEGMENTATION, tau=tau), make_ref(name))
    with pytest.raises(DatasetError, match="2 segmentations"):
        IndexedScenes(open_store(str(tmp_path)))
