"""What the pipeline sees of a file, in the oracle's terms."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.container import open_video
from pipeline.decode import DecodeReport, timed_frames
from pipeline.orientation import UprightScaler
from pipeline.sampling import InstantSampler

# Smaller than all of the matrix, and no whole fraction of it; H, W.
SIZE = (84, 112)

# Frames whose pictures are kept: their places in the order of presentation.
LOOKED_AT = (0, 7, 60)

# Of sharp edges in all colours. Footage that was turned is less alike: ffmpeg turns it before it is
# scaled, and takes its chroma for lying left of where it then is.
SAME_PICTURE_DB = 50
SAME_FOOTAGE_DB = 40


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Frames of a file.

    Attributes:
        stream: index of the stream that is watched.
        time_base: seconds a tick.
        pts: presentation of each frame, ticks.
        ends: end of each, ticks.
        sides: height and width as a player shows them.
        pictures: of some frames by their pts, upright RGB uint8.
    """

    stream: int
    time_base: Fraction
    pts: list[int]
    ends: list[int]
    sides: tuple[int, int]
    pictures: dict[int, NDArray[np.uint8]]

    def sampled(self, sample_fps: str) -> list[int]:
        """The pts of what is sampled."""
        sampler = InstantSampler(sample_fps=float(sample_fps), time_base=self.time_base)
        times = zip(self.pts, self.ends, strict=True)
        return [pts for pts, end_pts in times if sampler.holds_instant(pts, end_pts)]


def see(
    path: Path,
    *,
    size: tuple[int, int] = SIZE,
    max_frames: int | None = None,
    threads: int = 1,
) -> Seen:
    """The first frames of a file, or all; some of them as pictures of this size."""
    with open(path, "rb") as file, open_video(file, threads=threads) as video:
        pts, ends, pictures, scaler = [], [], {}, None
        frames = islice(timed_frames(video, DecodeReport()), max_frames)
        for number, frame in enumerate(frames):
            scaler = scaler or UprightScaler(frame.image, video.pixel_aspect)
            pts.append(frame.pts)
            ends.append(frame.end_pts)
            if number in LOOKED_AT:
                pictures[frame.pts] = scaler.scale(frame.image, *size)
        return Seen(
            stream=video.stream.index,
            time_base=video.time_base,
            pts=pts,
            ends=ends,
            sides=(scaler.height_px, scaler.width_px),
            pictures=pictures,
        )


def likeness_db(picture: NDArray, expected: NDArray) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures."""
    error = np.mean((picture.astype(float) - expected) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
