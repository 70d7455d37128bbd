"""Who decodes: ours and its peers, one file at a time, in a process of their own (``contender``).

A maker is given what is asked for and returns a reader; a package that is not there, or does not
load, makes it raise, and the benchmark says so.
"""

import os
import subprocess
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

KIB = 1024
BATCH = 16  # frames that a peer is asked for at once


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a contender.

    Attributes:
        fps: frames sampled a second; 0: all are decoded.
        threads: of its decoder.
        max_pixels: of a frame as the model sees it; None: the embedded checkpoint's.
    """

    fps: float
    threads: int
    max_pixels: int | None


@dataclass(frozen=True, kw_only=True)
class File:
    """A file, and the size at which ATS sees its frames."""

    path: str
    height_px: int
    width_px: int


Reader = Callable[[File], dict[str, Any] | None]


def our_stage(asked: Asked) -> Reader:
    """FlexiVideo's decode stage, its rows written as they leave the decode child."""
    import av.logging
    import pyarrow as pa
    from our_clock import OurClock

    from flexivideo.visual_spec import VisualSpec
    from pipeline.decode_plan import DecodePlan, Segmentation
    from pipeline.local_uri import to_uri
    from pipeline.settings import DecodeSettings, PackingSettings, SegmentationSettings
    from pipeline.sources import local_ref
    from pipeline.video_rows import video_rows

    av.logging.set_level(None)
    spec = VisualSpec.from_pretrained(None, max_pixels=asked.max_pixels)
    plan = DecodePlan(
        segmentation=Segmentation.of(SegmentationSettings(sample_fps=asked.fps), spec),
        packing=PackingSettings(max_pixels=asked.max_pixels),
        decode=DecodeSettings(),
        spec=spec,
        threads=asked.threads,
    )
    clock = OurClock()

    def read(file: File) -> dict[str, Any]:
        clock.reset()
        for rows in video_rows(local_ref(to_uri(file.path)), "benchmark", plan):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, rows.schema) as writer:
                writer.write_batch(rows)
            sink.getvalue()
        outcome = rows["outcome"][-1].as_py()
        if outcome["status"] not in ("success", "partial"):
            raise RuntimeError(f"{outcome['error_kind']}: {outcome['error_message']}")
        told = ("n_frames_decoded", "n_frames_sampled", "n_scenes", "n_clips")
        return {"parts": clock.parts()} | {name: outcome[name] for name in told}

    return read


def ffmpeg_program(asked: Asked) -> Reader:
    """The ffmpeg program that decodes everything and keeps nothing, less the start of a program."""
    from imageio_ffmpeg import get_ffmpeg_exe

    program = get_ffmpeg_exe()

    def took(*arguments: str) -> tuple[float, float, int]:
        began_s = time.perf_counter()
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen([program, *arguments], stdout=nowhere, stderr=nowhere)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"ffmpeg exited with {process.returncode}")
        return time.perf_counter() - began_s, used.ru_utime + used.ru_stime, used.ru_maxrss

    def read(file: File) -> dict[str, Any]:
        start_s, start_cpu_s, _ = took("-version")
        options = ["-v", "error", "-nostdin", "-threads", str(asked.threads), "-i", file.path]
        out = ["-map", "0:V:0", "-fps_mode", "passthrough", "-f", "null", "-"]
        wall_s, cpu_s, peak_kib = took(*options, *out)
        return {
            "wall_s": wall_s - start_s,
            "cpu_s": cpu_s - start_cpu_s,
            "peak_bytes": peak_kib * KIB,
        }

    return read


def pyav(asked: Asked) -> Reader:
    """PyAV, every frame, none converted."""
    import av
    import av.logging

    av.logging.set_level(None)

    def read(file: File) -> None:
        with av.open(file.path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = asked.threads
            stream.codec_context.thread_type = "AUTO" if asked.threads > 1 else "NONE"
            for _ in container.decode(stream):
                pass

    return read


def opencv(asked: Asked) -> Reader:
    """OpenCV, every frame as BGR."""
    import cv2

    cv2.setNumThreads(asked.threads)

    def read(file: File) -> None:
        how = [cv2.CAP_PROP_N_THREADS, asked.threads]
        video = cv2.VideoCapture(file.path, cv2.CAP_FFMPEG, how)
        n_frames = sum(1 for _ in takewhile(lambda _: video.read()[0], count()))
        video.release()
        if not n_frames:
            raise RuntimeError("no frame came")

    return read


def scenedetect(asked: Asked) -> Reader:
    """PySceneDetect's content detector as it comes: its frames are those of OpenCV."""
    os.environ["OPENCV_FFMPEG_THREADS"] = str(asked.threads)  # read when cv2 is imported
    import cv2
    from scenedetect import ContentDetector, SceneManager, open_video

    cv2.setNumThreads(asked.threads)

    def read(file: File) -> None:
        manager = SceneManager()
        manager.add_detector(ContentDetector())
        if not manager.detect_scenes(open_video(file.path)):
            raise RuntimeError("no frame came")

    return read


def decord(asked: Asked) -> Reader:
    """decord2, the frames at our instants, scaled by it."""
    import decord as package

    package.logging.set_level(package.logging.QUIET)

    def read(file: File) -> dict[str, Any]:
        video = package.VideoReader(
            file.path,
            ctx=package.cpu(0),
            width=file.width_px,
            height=file.height_px,
            num_threads=asked.threads,
        )
        begins = video.get_frame_timestamp(range(len(video)))[:, 0].tolist()
        wanted = [bisect_right(begins, at_s + 1e-6) - 1 for at_s in _instants(begins, asked.fps)]
        indices = list(dict.fromkeys(wanted))
        for part in _parts(indices):
            video.get_batch(part).asnumpy()
        return {"n_frames_sampled": len(indices)}

    return read


def torchcodec(asked: Asked) -> Reader:
    """torchcodec, the frames on the screen at our instants, scaled by it."""
    import torch
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    torch.set_num_threads(asked.threads)

    def read(file: File) -> dict[str, Any]:
        video = VideoDecoder(
            file.path,
            num_ffmpeg_threads=asked.threads,
            dimension_order="NHWC",
            transforms=[Resize((file.height_px, file.width_px))],
        )
        begin_s = video.metadata.begin_stream_seconds
        instants_s = list(_instants((begin_s, video.metadata.end_stream_seconds), asked.fps))
        for part in _parts(instants_s):
            video.get_frames_played_at(part)
        return {"n_frames_sampled": len(instants_s)}

    return read


MAKERS: dict[str, Callable[[Asked], Reader]] = {
    "ours": our_stage,
    "ffmpeg to null": ffmpeg_program,
    "PyAV": pyav,
    "OpenCV": opencv,
    "PySceneDetect": scenedetect,
    "decord2": decord,
    "torchcodec": torchcodec,
}

# Those that take samples; the others see every frame.
SAMPLING = "ours", "decord2", "torchcodec"


def _instants(times_s: Sequence[float], fps: float) -> Iterator[float]:
    """From the first time on, before the last or at it."""
    return takewhile(lambda at_s: at_s < times_s[-1], (times_s[0] + n / fps for n in count()))


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
