"""Where our decode stage's CPU time goes: the parts of it, by hooks on what it calls.

Seconds of the thread that runs the stage; what decoder threads take beside it counts as decoding.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pipeline.clip_stream
import pipeline.scene_builder
import pipeline.video_rows
from flexivideo.segmentation import SceneSegmenter
from pipeline.orientation import UprightScaler
from pipeline.scene_builder import SceneBuilder

__all__ = ["PARTS", "OurClock"]

# In the table's order. The rest: virtual frames, thumbnails, Arrow rows and their IPC.
PARTS = "opening", "decoding", "ATS scaling", "ATS", "model scaling", "digest", "rest"


class OurClock:
    """CPU seconds of a video's parts."""

    def __init__(self) -> None:
        self._ats_size: tuple[int, int] | None = None
        self.reset()
        module: Any
        for module, name, hooked in (
            (pipeline.clip_stream, "sampled_frames", self._frames),
            (pipeline.video_rows, "whole_source", lambda source: self._entered("digest", source)),
            (pipeline.video_rows, "open_video", lambda video: self._entered("opening", video)),
            (UprightScaler, "scale", self._scale),
            (SceneSegmenter, "push", lambda push: self._timed("ATS", push)),
            (SceneBuilder, "__init__", self._note_size),
        ):
            setattr(module, name, hooked(getattr(module, name)))

    def reset(self) -> None:
        """Begin with the next video."""
        self._spent_s = dict.fromkeys(PARTS, 0.0)
        self._began_s, self._began_all_s = time.thread_time(), time.process_time()

    def parts(self) -> dict[str, float]:
        """CPU seconds of each part since the reset."""
        ours_s = time.thread_time() - self._began_s
        others_s = time.process_time() - self._began_all_s - ours_s
        found = dict(self._spent_s)
        found["rest"] = ours_s - sum(found.values())
        found["decoding"] += others_s
        return found

    def _timed(self, part: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began_s = time.thread_time()
            try:
                return inner(*args, **kwargs)
            finally:
                self._spent_s[part] += time.thread_time() - began_s

        return timed

    def _frames(self, inner: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def frames(*args: Any, **kwargs: Any) -> Iterator[Any]:
            following = self._timed("decoding", inner(*args, **kwargs).__next__)
            while True:
                try:
                    frame = following()
                except StopIteration:
                    return
                yield frame

        return frames

    def _entered(
        self, part: str, inner: Callable[..., AbstractContextManager[Any]]
    ) -> Callable[..., AbstractContextManager[Any]]:
        @contextmanager
        def entered(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with ExitStack() as stack:
                yield self._timed(part, stack.enter_context)(inner(*args, **kwargs))

        return entered

    def _scale(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        for_ats, for_model = self._timed("ATS scaling", inner), self._timed("model scaling", inner)

        def scale(scaler: UprightScaler, image: Any, height_px: int, width_px: int) -> Any:
            is_for_ats = (height_px, width_px) == self._ats_size
            return (for_ats if is_for_ats else for_model)(scaler, image, height_px, width_px)

        return scale

    def _note_size(self, inner: Callable[..., None]) -> Callable[..., None]:
        def init(builder: SceneBuilder, *args: Any, **kwargs: Any) -> None:
            inner(builder, *args, **kwargs)
            self._ats_size = builder._ats_size

        return init
