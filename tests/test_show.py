"""What a person sees of a dataset, on terminals of any width and with names of any bytes."""

import io
import os

import pytest
from dataset_helpers import commit_videos, make_ref, video_rows, writing
from rich.console import Console

from flexivideo.errors import DatasetError, SettingsError
from jobs.show import show_dataset, show_video
from pipeline.assembly import Assembler
from pipeline.identity import video_id
from pipeline.local_uri import to_uri
from pipeline.records import VideoRef
from pipeline.store import LocalStore

ODD = os.fsdecode(b"odd\xff\x1b[31m.mp4")


@pytest.fixture
def root(tmp_path):
    """Two videos, one of whose names is not UTF-8 and holds what steers a terminal."""
    uri = to_uri(f"/archive/{ODD}")
    odd = VideoRef(uri=uri, version="1-1", video_id=video_id(uri, "1-1"), size_bytes=1)
    commit_videos(LocalStore(str(tmp_path)), [make_ref("plain"), odd])
    return str(tmp_path)


def shown(show, width: int, **options) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(console=console, **options)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 79, 80, 200])
def test_names_statuses_and_captions_are_there_at_any_width(root, width):
    text = shown(show_dataset, width, store=LocalStore(str(root)), limit=10)
    flat = "".join(text.split())
    for word in ("plain.mp4", "odd\\udcff", "success", "clip0of/archive/plain.mp4"):
        assert word in flat or width >= 80  # in a table a name folds among other columns
    assert "/archive/" in text.split("\n")[0]
    assert "plain" in text


@pytest.mark.parametrize("width", [40, 200])
def test_a_videos_clips_are_there_at_any_width(root, width):
    text = shown(show_video, width, store=LocalStore(str(root)), video="plain.mp4", scenes=True)
    flat = "".join(text.split())
    for number in range(3):
        assert f"clip{number}of/archive/plain.mp4" in flat


def test_a_name_does_not_steer_the_terminal(root):
    assert "\x1b" not in shown(show_dataset, 100, store=LocalStore(str(root)), limit=10)
    assert "\x1b" not in shown(
        show_video, 100, store=LocalStore(str(root)), video=ODD, scenes=False
    )


def test_neither_do_the_names_among_which_one_has_to_choose(tmp_path):
    refs = []
    for folder in "ab":
        uri = f"/{folder}/\x1b[31mred.mp4"
        video = video_id(uri, "1-1")
        refs.append(VideoRef(uri=uri, version="1-1", video_id=video, size_bytes=1))
    commit_videos(LocalStore(str(tmp_path)), refs)
    with pytest.raises(DatasetError, match="2 videos answer") as error:
        shown(
            show_video, 100, store=LocalStore(str(tmp_path)), video="\x1b[31mred.mp4", scenes=False
        )
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_is_a_number_of_videos(root, limit):
    with pytest.raises(SettingsError, match=f"limit is {limit}"):
        shown(show_dataset, 100, store=LocalStore(str(root)), limit=limit)


def test_a_caption_that_was_cut_off_says_so(tmp_path):
    store, ref = LocalStore(str(tmp_path)), make_ref("a")
    with writing(store) as committer, Assembler() as assembler:
        committer.add(*assembler.push(video_rows(ref, n_errors=1, status="partial")))
        committer.commit()
    text = shown(show_video, 100, store=LocalStore(str(tmp_path)), video="a.mp4", scenes=False)
    assert "[error]" in text
