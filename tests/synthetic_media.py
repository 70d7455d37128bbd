"""Small videos whose frames we made ourselves, so that what must come out of them is known."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

MILLISECONDS = Fraction(1, 1000)


def grey_frames(levels: Sequence[int], height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Even pictures of these grey levels: a frame is known by its level."""
    return np.stack([np.full((height, width, 3), level, np.uint8) for level in levels])


def write_video(
    path: Path,
    frames: NDArray[np.uint8],
    *,
    times_ms: Sequence[int] | None = None,
    fps: int = 10,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    title: str | None = None,
    muxer: dict[str, str] | None = None,
    time_base: Fraction = MILLISECONDS,
) -> Path:
    """Encode frames [T,H,W,3] at these presentation times, or at a constant rate."""
    times_ms = times_ms or [index * 1000 // fps for index in range(len(frames))]
    with av.open(str(path), "w", options=muxer or {}) as container:
        if title is not None:
            container.metadata["title"] = title
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        if codec == "libx264":
            stream.options = {"crf": "10", "preset": "ultrafast", "threads": "1"} | (options or {})
        elif options:
            stream.options = options
        for picture, time_ms in zip(frames, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time_ms, MILLISECONDS
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_with_sound(
    path: Path, frames: NDArray[np.uint8], *, codec: str, sound_codec: str, sound_s: float
) -> Path:
    """Frames at 25 a second beside silence that lasts as long as it likes."""
    rate = 44_100
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        sound = container.add_stream(sound_codec, rate=rate, layout="mono", bit_rate=64_000)
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        silence = np.zeros((1, int(sound_s * rate)), np.int16)
        frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(
            sound.format, "mono", rate, frame_size=sound.frame_size or None
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(sound.encode(piece))
    return path


def write_audio_only(path: Path) -> Path:
    """A file with sound and no pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def textured_shots(
    rng: np.random.Generator, n_shots: int, frames_each: int, height: int = 72, width: int = 96
) -> NDArray[np.uint8]:
    """Shots of still noise on grounds of alternating brightness: cuts that no rule can miss."""
    shots = []
    for number in range(n_shots):
        ground = 60 if number % 2 else 190
        shot = np.clip(ground + rng.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)
        shots.append(np.repeat(shot[None], frames_each, axis=0))
    return np.concatenate(shots)
