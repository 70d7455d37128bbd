from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from decode_helpers import make_plan
from synthetic_media import textured_shots, write_video
from tiny_checkpoints import save_stock

from flexivideo.prompts import caption_prompt
from flexivideo.visual_spec import VisualSpec
from pipeline.caption_stage import CaptionPlan, CaptionStage
from pipeline.local_uri import to_uri
from pipeline.records import CAPTIONED_SCHEMA
from pipeline.settings import CaptionSettings
from pipeline.sources import local_ref
from pipeline.video_rows import video_rows


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    model = str(save_stock(tmp_path_factory.mktemp("model"), seed=4))
    settings = CaptionSettings(model=model, max_new_tokens=4)
    plan = CaptionPlan(settings=settings, prompt="Describe.", max_pixels=84 * 84)
    return CaptionStage(plan, threads=1)


def decoded(folder, plan):
    """Decoded rows of two videos, of three clips and of two."""
    batches = []
    for number, n_shots in enumerate((3, 2)):
        frames = textured_shots(np.random.default_rng(number), n_shots, 40)
        path = write_video(folder / f"{number}.mp4", frames)
        batches += video_rows(local_ref(to_uri(str(path))), f"attempt {number}", plan)
    return pa.Table.from_batches(batches)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return decoded(tmp_path_factory.mktemp("videos"), make_plan())


def test_rows_keep_their_order_and_lose_their_pixels(stage, rows):
    answer = stage(rows)
    assert answer.schema == CAPTIONED_SCHEMA
    for name in ("video_id", "attempt", "row_index", "kind", "clip", "scenes", "outcome"):
        assert answer[name].equals(rows[name])


def test_every_clip_is_captioned_and_no_outcome_is(stage, rows):
    for row in stage(rows).to_pylist():
        is_clip = row["kind"] == "clip"
        assert (row["caption"] is not None) == is_clip
        assert (row["embedding"] is not None) == is_clip
        assert (row["n_caption_tokens"] is not None) == is_clip


def test_rows_of_several_videos_together_say_what_each_alone_says(stage, rows):
    alone = [stage(rows.slice(index, 1)).to_pylist()[0] for index in range(rows.num_rows)]
    for row, single in zip(stage(rows).to_pylist(), alone, strict=True):
        assert row["caption"] == single["caption"]
        if row["embedding"]:
            assert row["embedding"] == pytest.approx(single["embedding"], abs=1e-5)


def test_a_table_of_outcomes_alone_passes(stage, rows):
    outcomes = rows.filter(pa.array([kind == "video" for kind in rows["kind"].to_pylist()]))
    assert stage(outcomes).num_rows == 2


def test_an_empty_table_stays_empty(stage, rows):
    assert stage(rows.slice(0, 0)).num_rows == 0


def test_each_video_is_asked_its_own_and_one_that_cannot_be_costs_the_others_nothing(tmp_path):
    """Of a model that answers: the embedded one, which was taught one question only."""
    settings = CaptionSettings(max_new_tokens=16)
    plan = CaptionPlan(settings=settings, prompt=caption_prompt(None), max_pixels=None)
    stage = CaptionStage(plan, threads=1)
    rows = decoded(tmp_path, replace(make_plan(), spec=VisualSpec.from_pretrained(None)))

    def asked(*prompts):
        of_rows = [prompts[int(name[-1])] for name in rows["attempt"].to_pylist()]
        place = rows.schema.get_field_index("prompt")
        answer = stage(rows.set_column(place, "prompt", pa.array(of_rows, pa.string())))
        clips = [row for row in answer.to_pylist() if row["kind"] == "clip"]
        return [[row for row in clips if row["attempt"] == f"attempt {of}"] for of in (0, 1)]

    def captions(clips):
        return [row["caption"] for row in clips]

    (plain, other), (first, own) = asked(None, None), asked(None, "Where?")
    assert captions(first) == captions(plain)
    assert captions(own) == captions(asked("Where?", "Where?")[1]) != captions(other)
    too_long, beside = asked("word " * 40_000, None)
    assert captions(beside) == captions(other)
    assert {(row["caption"], row["caption_status"]) for row in too_long} == {(None, "error")}
    assert "room" in too_long[0]["caption_error"]
