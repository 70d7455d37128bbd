"""Scenes of ATS on reduced frames against those of its definition, on every pixel of every frame.

    python infra/benchmarks/boundaries.py FILE... [--fps 2 --tau 0.2 --tau 0.5]

Each file is decoded once, and its sampled frames are segmented twice at every tau: as by default
(frames of 448 px squared in area, every fourth pixel of every fourth row) and at full size
(``--ats-side-px 16384 --ats-stride 1`` of ``flexivideo index``). A boundary is the first frame of a
scene, the video's first one apart; it is found where both have it at the same frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cyclopts import run

from flexivideo.errors import VideoRejected
from flexivideo.segmentation import SceneSegmenter
from pipeline.container import open_video
from pipeline.decode import DecodeReport
from pipeline.orientation import UprightScaler
from pipeline.sampled_frames import sampled_frames
from pipeline.sampling import InstantSampler
from pipeline.scene_builder import ats_size
from pipeline.settings import SegmentationSettings
from pipeline.skipping import Untrue

__all__ = ["Agreement", "agreement", "print_agreement"]

REDUCED = SegmentationSettings()
FULL = SegmentationSettings(ats_side_px=16384, ats_stride=1)


@dataclass(kw_only=True)
class Agreement:
    """Boundaries of both, over the files so far."""

    n_both: int = 0
    n_reduced: int = 0
    n_full: int = 0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there is no boundary."""
        n_all = self.n_reduced + self.n_full
        return 2 * self.n_both / n_all if n_all else 1.0


def agreement(files: Sequence[Path], *, fps: float, tau: Sequence[float]) -> dict[float, Agreement]:
    """Tau to the agreement over all files; a file that is no video counts nothing."""
    found = {threshold: Agreement() for threshold in tau}
    for path in files:
        for may_skip in (True, False):
            try:
                both = _boundaries(path, fps, tau, may_skip=may_skip)
                break
            except Untrue:
                continue
            except VideoRejected:
                both = {}
                break
        for threshold, (reduced, full) in both.items():
            found[threshold].n_both += len(reduced & full)
            found[threshold].n_reduced += len(reduced)
            found[threshold].n_full += len(full)
    return found


def _boundaries(
    path: Path, fps: float, tau: Sequence[float], *, may_skip: bool
) -> dict[float, tuple[set[int], set[int]]]:
    """Tau to the reduced and the full boundaries of one file, as numbers of sampled frames."""
    ways = REDUCED, FULL
    segmenters = {
        threshold: [SceneSegmenter(tau=threshold, stride=way.ats_stride) for way in ways]
        for threshold in tau
    }
    found: dict[float, tuple[set[int], set[int]]] = {threshold: (set(), set()) for threshold in tau}
    with open(path, "rb") as source, open_video(source, threads=1) as video:
        sampler = InstantSampler(sample_fps=fps, time_base=video.time_base)
        frames = sampled_frames(video, sampler, DecodeReport(), may_skip=may_skip)
        scaler = None
        for number, frame in enumerate(frames):
            scaler = scaler or UprightScaler(frame.image, video.pixel_aspect)
            sides = scaler.height_px, scaler.width_px
            pictures = [
                scaler.scale(frame.image, *ats_size(*sides, way.ats_side_px)) for way in ways
            ]
            for threshold, pair in segmenters.items():
                for picture, segmenter, starts in zip(
                    pictures, pair, found[threshold], strict=True
                ):
                    if segmenter.push(picture).starts_scene and number:
                        starts.add(number)
    return found


def print_agreement(found: dict[float, Agreement]) -> None:
    """As Markdown."""
    print("| tau | boundaries, reduced | at full size | in both | F1 |\n|---|---|---|---|---|")
    for tau, both in found.items():
        counts = f"{both.n_reduced:,} | {both.n_full:,} | {both.n_both:,}"
        print(f"| {tau:g} | {counts} | {both.f1:.4f} |")


def main(*file: Path, fps: float = 2.0, tau: tuple[float, ...] = (0.2, 0.5)) -> None:
    """Compare.

    Args:
        file: videos.
        fps: frames sampled a second.
        tau: thresholds.
    """
    print_agreement(agreement(file, fps=fps, tau=tau))


if __name__ == "__main__":
    run(main)
