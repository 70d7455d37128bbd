"""Real odd and broken files, with what each must end as."""

import csv
from itertools import pairwise

import pytest
from decode_helpers import make_plan, run_stage

from pipeline.decode_stage import DecodeStage

pytestmark = pytest.mark.damaged

# Decoding this one takes a minute: 21,766 frames of 4K.
LONGEST = "long_4k60_black_av1.mp4"

# Its damage lies in frames that nobody looks at at 2 fps, or needs.
UNSEEN = {"weird_aspect_corrupt.mpg"}


def may_be(expected: str) -> set[str | None]:
    return {None if name == "-" else name for name in expected.split("|")}


def tile(rows):
    clips = [row["clip"] for row in rows]
    scenes = [scene for row in rows for scene in row["scenes"]]
    return all(
        earlier["end_pts"] == later["start_pts"]
        for pieces in (clips, scenes)
        for earlier, later in pairwise(pieces)
    )


def test_every_damaged_file_ends_as_it_should(test_data):
    with open(test_data / "damaged" / "MANIFEST.tsv", encoding="utf-8") as manifest:
        expected = {row["file"]: row for row in csv.DictReader(manifest, delimiter="\t")}
    stage = DecodeStage(make_plan())
    videos = run_stage(stage, *(test_data / "damaged" / name for name in expected))
    stage.close()
    wrong = {}
    for name, row in expected.items():
        outcome, rows = videos[name]
        kinds = may_be(row["expected_error_kind"])
        statuses = row["expected_status"].split("|")
        statuses += ["success"] if name in UNSEEN else []
        kinds |= {None} if "success" in statuses else set()
        right = outcome["status"] in statuses and outcome["error_kind"] in kinds and tile(rows)
        if not right:
            wrong[name] = (outcome["status"], outcome["error_kind"], outcome["error_message"])
    assert not wrong
    assert len(videos) == len(expected)
    assert videos[LONGEST][0]["n_frames_sampled"] > 700


def test_every_good_file_is_indexed_and_tiles(test_data):
    files = sorted((test_data / "videos").glob("*.*"))
    videos = [file for file in files if file.suffix not in (".json", ".tsv")]
    stage = DecodeStage(make_plan())
    ended = run_stage(stage, *videos)
    stage.close()
    assert {name: o["error_message"] for name, (o, _) in ended.items() if o["error_kind"]} == {}
    assert all(tile(rows) for _, rows in ended.values())
    assert len(ended) == len(videos)
