"""Published training data, as its documentation shows it, becomes records; the rest is named."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flexivideo.errors import SettingsError
from pipeline.training_records import LeftOut, TrainingRecord, Turn, read_records

# As on the data's own pages, texts shortened.
LLAVA_VIDEO_178K = {
    "id": "Q--sZL0lBOI",
    "conversations": [
        {"from": "human", "value": "<image>\nPlease describe this video in detail."},
        {"from": "gpt", "value": "The video begins with a rabbit."},
        {"from": "human", "value": "What colour is it?"},
        {"from": "gpt", "value": "Grey."},
    ],
    "data_source": "0_30_s_youtube_v0_1",
    "video": "liwei_youtube_videos/videos/youtube_video_2024/ytb_Q--sZL0lBOI.mp4",
}
SHARE_GPT4_VIDEO = {
    "video_id": "9d8f5ab5",
    "video_path": "panda/9d8f5ab5.mp4",
    "timestamp": ["00:00:00.000", "00:00:06.000"],
    "keyframe": [0, 2],
    "captions": [
        {"idx": "1", "content": "A man stands."},
        {"idx": "2", "content": "He sits."},
        {"idx": "-1", "content": "A man stands, then sits."},
    ],
    "zip_folder": "panda_1.zip",
}
SHARE_GPT4_VIDEO_INSTRUCTIONS = {
    "id": "9d8f5ab5",
    "video": "panda/9d8f5ab5.mp4",
    "conversations": [
        {"from": "human", "value": "Write a caption.\n<video>"},
        {"from": "gpt", "value": "A man stands, then sits."},
    ],
}
PIXMO_CAP = {
    "image_url": "https://pictures.example/a.jpg",
    "caption": "A red barn.",
    "transcripts": ["a barn", "it is red"],
}


def write_lines(path: Path, *lines: object) -> Path:
    path.write_text(
        "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    )
    return path


def record(path: Path, number: int, media: Path, *turns: Turn, is_image: bool = False):
    return TrainingRecord(
        record_id=f"{path}:{number}", media=str(media), is_image=is_image, turns=turns
    )


def test_published_layouts_are_read_by_their_fields(tmp_path):
    as_array = tmp_path / "llava.json"
    as_array.write_text(json.dumps([LLAVA_VIDEO_178K, SHARE_GPT4_VIDEO_INSTRUCTIONS]))
    assert list(read_records(as_array, tmp_path)) == [
        record(
            as_array,
            1,
            tmp_path / LLAVA_VIDEO_178K["video"],
            Turn(
                question="Please describe this video in detail.",
                answer="The video begins with a rabbit.",
            ),
            Turn(question="What colour is it?", answer="Grey."),
        ),
        record(
            as_array,
            2,
            tmp_path / "panda/9d8f5ab5.mp4",
            Turn(question="Write a caption.", answer="A man stands, then sits."),
        ),
    ]
    as_lines = write_lines(tmp_path / "sharegpt4video_40k.jsonl", SHARE_GPT4_VIDEO)
    assert list(read_records(as_lines, tmp_path)) == [
        record(
            as_lines,
            1,
            tmp_path / "panda/9d8f5ab5.mp4",
            Turn(question="", answer="A man stands, then sits."),
        )
    ]


def test_what_a_system_says_before_a_conversation_is_not_learned(tmp_path):
    system = {"from": "system", "value": "You are helpful."}
    spoken = LLAVA_VIDEO_178K | {"conversations": [system, *LLAVA_VIDEO_178K["conversations"]]}
    both = write_lines(tmp_path / "system.jsonl", LLAVA_VIDEO_178K, spoken)
    without, within = read_records(both, tmp_path)
    assert within.turns == without.turns


def test_pixmo_pictures_are_files_named_by_the_digest_of_their_url(tmp_path):
    path = tmp_path / "train-00000.parquet"
    pq.write_table(pa.Table.from_pylist([PIXMO_CAP]), path)
    digest = hashlib.sha256(PIXMO_CAP["image_url"].encode()).hexdigest()
    assert list(read_records(path, tmp_path)) == [
        record(path, 1, tmp_path / digest, Turn(question="", answer="A red barn."), is_image=True)
    ]


def test_plain_lines_may_bring_a_prompt_and_name_videos_or_pictures(tmp_path):
    path = write_lines(
        tmp_path / "plain.jsonl",
        {"video": "a.mp4", "caption": "A dog.", "prompt": "What is it?"},
        {"image": "b.png", "caption": "A cat."},
    )
    assert list(read_records(path, tmp_path)) == [
        record(path, 1, tmp_path / "a.mp4", Turn(question="What is it?", answer="A dog.")),
        record(path, 2, tmp_path / "b.png", Turn(question="", answer="A cat."), is_image=True),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{torn", "not JSON"),
        ("[1, 2]", "not an object"),
        ({"video": "a.mp4"}, "caption"),
        ({"video": "a.mp4", "caption": "  "}, "expected text"),
        ({"video": "a.mp4", "caption": 7}, "expected text"),
        ({"caption": "A dog."}, "expected one video"),
        ({"video": ["a.mp4", "b.mp4"], "caption": "Two."}, "expected one video"),
        ({"video": "../../etc/passwd", "caption": "A secret."}, "leaves the media root"),
        ({"video": "/etc/passwd", "caption": "A secret."}, "leaves the media root"),
        ({"video": "a.mp4", "caption": "A dog.", "prompt": 7}, "the prompt is 7; expected text"),
        ({"video": "a.mp4", "caption": "A dog.", "prompt": ["a"]}, "expected text"),
        ({"video": "a.mp4", "caption": "\ud800 alone"}, "surrogate"),
        ("[" * 100_000, "not JSON"),
        (
            LLAVA_VIDEO_178K
            | {"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": None}]},
            "what is said is None; expected text",
        ),
        (SHARE_GPT4_VIDEO | {"captions": [{"idx": "-1", "content": {"a": 1}}]}, "expected text"),
        (LLAVA_VIDEO_178K | {"conversations": []}, "by turns"),
        (LLAVA_VIDEO_178K | {"conversations": [{"from": "gpt", "value": "A."}]}, "by turns"),
        (LLAVA_VIDEO_178K | {"conversations": "text"}, "not a record"),
        (SHARE_GPT4_VIDEO | {"captions": SHARE_GPT4_VIDEO["captions"][:2]}, "of the whole"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_an_unusable_line_is_named_and_the_next_one_read(tmp_path, line, reason):
    path = write_lines(tmp_path / "mixed.jsonl", line, {"video": "a.mp4", "caption": "A dog."})
    left_out, read = read_records(path, tmp_path)
    assert isinstance(left_out, LeftOut)
    assert left_out.record_id == f"{path}:1"
    assert reason in left_out.reason
    assert isinstance(read, TrainingRecord)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"a,b"), ("a.json", b"{}"), ("a.json", b"[tor"), ("a.parquet", b"PAR1")],
)
def test_a_file_of_another_kind_is_an_error_that_names_it(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=name):
        list(read_records(path, tmp_path))
    with pytest.raises(SettingsError, match=r"gone\.json"):
        list(read_records(tmp_path / "gone.json", tmp_path))


def test_records_are_numbered_by_their_lines_and_space_around_answers_is_not_learned(tmp_path):
    path = tmp_path / "gaps.jsonl"
    line = json.dumps({"video": "a.mp4", "caption": "\n A dog. \n"})
    path.write_text(f"\n\n{line}\n\n{line}\n", encoding="utf-8-sig")
    read = list(read_records(path, tmp_path))
    assert [found.record_id for found in read] == [f"{path}:3", f"{path}:5"]
    assert [found.turns[0].answer for found in read] == ["A dog.", "A dog."]


def test_a_line_of_another_encoding_is_named_and_not_learned_in_pieces(tmp_path):
    path, good = tmp_path / "latin.jsonl", json.dumps({"video": "a.mp4", "caption": "A dog."})
    path.write_bytes(f'{{"video": "a.mp4", "caption": "caf\u00e9"}}\n{good}\n'.encode("latin-1"))
    left_out, read = read_records(path, tmp_path)
    assert "surrogates not allowed" in left_out.reason
    assert isinstance(read, TrainingRecord)


def test_an_absolute_path_under_the_root_is_taken(tmp_path):
    path = write_lines(
        tmp_path / "a.jsonl", {"video": str(tmp_path / "a.mp4"), "caption": "A dog."}
    )
    (read,) = read_records(path, tmp_path)
    assert read.media == str(tmp_path / "a.mp4")
