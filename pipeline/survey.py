"""What a plan looks at: headers of sampled videos, and short stretches spread over their time.

In supervised children, as in the run: what a broken video does to its decoder costs the plan that
video.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Self

import pyarrow as pa

from pipeline.decode_plan import DecodePlan
from pipeline.glimpse import STRETCH_S, VideoGlimpse
from pipeline.listing_sample import SampledVideo
from pipeline.records import DECODED_SCHEMA
from pipeline.supervisor import ChildDied, DecodeChild

__all__ = ["Header", "Place", "Stretch", "Survey", "places"]

# Of the hours at most this share is watched, and no more stretches than that: the error of a plan
# falls with the root of their number.
MOST_SHARE, MOST_STRETCHES, FEWEST_STRETCHES = 0.25, 160, 8


@dataclass(frozen=True, kw_only=True)
class Header:
    """A video of the sample, and what its header says."""

    video: SampledVideo
    seen: VideoGlimpse


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a stretch lies.

    Attributes:
        header: the video's.
        within: 0 for its beginning to 1 for its end.
    """

    header: Header
    within: float


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A place, and what was seen there.

    Attributes:
        header: the video's.
        seen: what was seen of the video.
        clips: rows of ``DECODED_SCHEMA``.
    """

    header: Header
    seen: VideoGlimpse
    clips: pa.Table


def places(headers: Sequence[Header]) -> list[Place]:
    """Places that are evenly spread over all hours of the listing, by weight.

    Videos that cost alike lie side by side, so that each kind gets its share.
    """
    readable = (header for header in headers if header.seen.error_kind is None)
    usable = [header for header in readable if header.seen.duration_s > 0]
    usable.sort(key=lambda one: (one.seen.codec or "", one.seen.height_px * one.seen.width_px))
    spans = [header.video.weight * header.seen.duration_s for header in usable]
    watchable = MOST_SHARE * sum(header.seen.duration_s for header in usable) / STRETCH_S
    number = min(MOST_STRETCHES, max(FEWEST_STRETCHES, round(watchable)))
    step_s, begin_s = sum(spans) / number, 0.0
    chosen: list[Place] = []
    for header, span_s in zip(usable, spans, strict=True):
        while (len(chosen) + 0.5) * step_s < begin_s + span_s:
            within = ((len(chosen) + 0.5) * step_s - begin_s) / span_s
            chosen.append(Place(header=header, within=within))
        begin_s += span_s
    return chosen


class Survey:
    """Looks at videos, several at a time."""

    def __init__(self, plan: DecodePlan, *, n_children: int) -> None:
        self._free: SimpleQueue[DecodeChild] = SimpleQueue()
        self._closing = ExitStack()
        for _ in range(n_children):
            child = DecodeChild(plan)
            self._closing.callback(child.close)
            self._free.put(child)
        self._pool = self._closing.enter_context(ThreadPoolExecutor(n_children))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the children."""
        self._pool.shutdown(cancel_futures=True)
        self._closing.close()

    def headers(self, videos: Sequence[SampledVideo]) -> list[Header]:
        """What the headers say, in the order of the videos."""
        seen = self._pool.map(lambda video: self._look(video, None)[0], videos)
        return [Header(video=v, seen=s) for v, s in zip(videos, seen, strict=True)]

    def stretches(self, chosen: Sequence[Place]) -> Iterator[Stretch]:
        """What is seen at places, in their order."""
        looks = self._pool.map(lambda place: self._look(place.header.video, place.within), chosen)
        for place, (seen, clips) in zip(chosen, looks, strict=True):
            yield Stretch(header=place.header, seen=seen, clips=clips)

    def _look(self, video: SampledVideo, place: float | None) -> tuple[VideoGlimpse, pa.Table]:
        child = self._free.get()
        try:
            *clips, seen = child.glimpse(video.ref, place)
            return VideoGlimpse.of(seen), pa.concat_tables([NO_CLIPS, *clips])
        except ChildDied as death:
            return VideoGlimpse(error_kind=str(death.error_kind)), NO_CLIPS
        finally:
            self._free.put(child)


NO_CLIPS = DECODED_SCHEMA.empty_table()
