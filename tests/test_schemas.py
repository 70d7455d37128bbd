"""The columns that others rely on, and the README's word for them."""

import re
from pathlib import Path

import pytest

from pipeline.schemas import SCHEMA_VERSION, TABLES, embeddings_schema

README = (Path(__file__).parents[1] / "README.md").read_text()

# The contract: more may stand beside these, none may go or change its meaning.
CONTRACT = {
    "videos": """video_id uri version content_digest status error_kind error_message container codec
        width height duration_s time_base_num time_base_den sample_fps n_frames_sampled n_scenes
        n_clips n_visual_tokens run_id segmenter_id packing_id model_id prompt_id commit_id
        scenes_commit_id committed_at source_deleted_at""",
    "scenes": """scene_id video_id scene_index clip_index start_pts end_pts start_s end_s n_frames
        cut_delta frame_deltas segmenter_id commit_id""",
    "clips": """clip_id video_id clip_index start_pts end_pts start_s end_s n_scenes n_frames
        n_visual_tokens boundary caption caption_status n_caption_tokens model_id prompt_id
        commit_id""",
    "embeddings": "clip_id video_id embedding model_id commit_id",
    "thumbnails": "clip_id video_id width height jpeg commit_id",
}


@pytest.mark.parametrize("table", CONTRACT)
def test_a_table_has_the_columns_of_the_contract(table):
    assert set(CONTRACT[table].split()) <= set(TABLES[table].names)


@pytest.mark.parametrize("table", CONTRACT)
def test_the_readme_names_the_columns_of_the_contract(table):
    (row,) = re.findall(rf"^\| {table} \| (.+) \|$", README, flags=re.MULTILINE)
    assert row.split(", ") == CONTRACT[table].split()


def test_every_schema_carries_its_version():
    for schema in (*TABLES.values(), embeddings_schema(3)):
        assert schema.metadata[b"schema_version"] == SCHEMA_VERSION.encode()


def test_a_vector_is_a_fixed_number_of_numbers_that_are_never_null():
    kind = embeddings_schema(5, dtype="float16").field("embedding").type
    assert kind.list_size == 5
    assert not kind.value_field.nullable
