"""What windows of two frames, of six, and of scenes cost a real model, on real videos.

    python infra/benchmarks/windows.py --config FOLDER FILE... [--fps 1 --fps 2 ...]

No weights are needed: FOLDER holds a Qwen2.5-VL's config.json. Each video is decoded once, sampled
at every rate, and cut into windows of two and of six frames (the paper's ablation) and into the
scenes of ATS; visual tokens and operations (``flexivideo.flops``) follow from the number of windows
and the size of a frame. Printed are sums over the videos, each read as one sequence behind a prompt
of 64 tokens. Pixels count every sampled frame, so Kpixel per TFLOP grows where windows are shared.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cyclopts import run

from flexivideo.checkpoints import config_as_saved
from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.flops import clip_flops, kpixels_per_tflop
from flexivideo.segmentation import SceneSegmenter
from flexivideo.visual_spec import VisualSpec
from pipeline.container import open_video
from pipeline.decode import DecodeReport, timed_frames
from pipeline.decode_plan import Segmentation
from pipeline.orientation import UprightScaler
from pipeline.sampling import InstantSampler
from pipeline.scene_builder import ats_size
from pipeline.settings import SegmentationSettings

FPS = (1.0, 2.0, 4.0, 8.0, 10.0)
PROMPT_TOKENS = 64

FIXED = {"fixed 2": 2, "fixed 6": 6}
BY_ATS = "scenes"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One video at one rate: windows by kind, and the size of a frame as the model sees it."""

    n_frames: int
    windows: dict[str, int]
    height_px: int
    width_px: int


@dataclass(kw_only=True)
class Sums:
    """Over videos."""

    tokens: int = 0
    flops: int = 0
    vision_flops: int = 0
    pixels: int = 0


def main(
    *file: Path,
    config: Path,
    fps: tuple[float, ...] = FPS,
    tau: float = 0.2,
    max_pixels: int = 448**2,
) -> None:
    """Measure.

    Args:
        file: videos.
        config: folder of a Qwen2.5-VL's configuration.
        fps: sampling rates.
        tau: ATS threshold.
        max_pixels: most pixels of a frame as the model sees it.
    """
    spec = VisualSpec.from_pretrained(str(config), max_pixels=max_pixels)
    model = config_as_saved(config)
    sums: dict[tuple[float, str], Sums] = defaultdict(Sums)
    for path in file:
        for rate, counted in count(path, spec, fps, tau):
            for kind, n_windows in counted.windows.items():
                add(sums[rate, kind], model, counted, n_windows)
    print(table(sums))


def count(
    path: Path, spec: VisualSpec, rates: tuple[float, ...], tau: float
) -> Iterator[tuple[float, Counted]]:
    """The windows of a video at each rate."""
    how = Segmentation.of(SegmentationSettings(tau=tau), spec)
    with open(path, "rb") as source, open_video(source, threads=2) as video:
        samplers = {r: InstantSampler(sample_fps=r, time_base=video.time_base) for r in rates}
        segmenters = {
            rate: SceneSegmenter(
                tau=how.tau, max_scene_frames=how.max_scene_frames, stride=how.ats_stride
            )
            for rate in rates
        }
        n_frames, n_scenes = dict.fromkeys(rates, 0), dict.fromkeys(rates, 0)
        scaler = None
        for timed in timed_frames(video, DecodeReport()):
            scaler = scaler or UprightScaler(timed.image, video.pixel_aspect)
            holding = [r for r in rates if samplers[r].holds_instant(timed.pts, timed.end_pts)]
            if not holding:
                continue
            size = ats_size(scaler.height_px, scaler.width_px, how.ats_side_px)
            analysed = scaler.scale(timed.image, *size)
            for rate in holding:
                n_frames[rate] += 1
                n_scenes[rate] += segmenters[rate].push(analysed).starts_scene
    if scaler is None:
        return
    height_px, width_px = spec.frame_size(scaler.height_px, scaler.width_px)
    for rate in rates:
        windows = {kind: -(-n_frames[rate] // length) for kind, length in FIXED.items()}
        yield (
            rate,
            Counted(
                n_frames=n_frames[rate],
                windows=windows | {BY_ATS: n_scenes[rate]},
                height_px=height_px,
                width_px=width_px,
            ),
        )


def add(sums: Sums, model: FlexiVideoConfig, counted: Counted, n_windows: int) -> None:
    """One video's share."""
    height_px, width_px = counted.height_px, counted.width_px
    flops = clip_flops(
        model,
        n_scenes=n_windows,
        height_px=height_px,
        width_px=width_px,
        n_text_tokens=PROMPT_TOKENS,
    )
    side = model.vision_config.patch_size * model.vision_config.spatial_merge_size
    sums.tokens += n_windows * height_px * width_px // side**2
    sums.flops += flops.total
    sums.vision_flops += flops.vision
    sums.pixels += height_px * width_px * counted.n_frames


def table(sums: dict[tuple[float, str], Sums]) -> str:
    """As Markdown."""
    names = "fps", "windows", "visual tokens", "x fixed 2", "TFLOPs", "vision", "Kpixel per TFLOP"
    rows = [names, ["---"] * len(names)]
    for (rate, kind), found in sums.items():
        rows.append(
            (
                f"{rate:g}",
                kind,
                f"{found.tokens:,}",
                f"{found.tokens / sums[rate, 'fixed 2'].tokens:.2f}",
                f"{found.flops / 1e12:,.0f}",
                f"{found.vision_flops / found.flops:.0%}",
                f"{kpixels_per_tflop(found.pixels, found.flops):,.1f}",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    run(main)
