"""A sample of a listing of any length, drawn as it streams by: which headers a plan reads.

Priority sampling (Duffield, Lund and Thorup, 2007): the videos with the largest priorities are
kept, priority being weight over a random number, and weight a video's bytes plus those of a usual
one: so the large ones, which hold most of the hours, are seldom missed, and the small ones neither.
Each that is kept stands for ``weight`` videos like it; of a short listing all are kept and stand
for themselves.
"""

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.fetched_file import n_requests_of
from pipeline.records import VideoRef
from pipeline.remote_names import is_remote

__all__ = ["ListingSample", "SampledVideo"]

# Headers that a plan reads: the error falls with the root of their number, the cost is each one's.
MOST_VIDEOS = 400

# The same listing gives the same plan.
SEED = 20260


@dataclass(frozen=True, kw_only=True)
class SampledVideo:
    """A video of the sample.

    Attributes:
        ref: which.
        weight: how many of the listing it stands for, 1 or more.
    """

    ref: VideoRef
    weight: float

    @property
    def size_bytes(self) -> int:
        """Of the object, as listed; 0 where the listing does not say."""
        return self.ref.size_bytes or 0


class ListingSample:
    """The videos that are to be done, counted, and some of them.

    Attributes:
        n_videos: how many.
        n_bytes: of all of them.
        n_requests: that reading them whole takes; files of this machine take none.
    """

    def __init__(self, most: int = MOST_VIDEOS) -> None:
        self._most, self._random = most, random.Random(SEED)
        self._usual_bytes = 0.0
        self._kept: list[tuple[float, int, float, VideoRef]] = []
        self.n_videos = self.n_bytes = self.n_requests = 0

    def add(self, window: Iterable[VideoRef]) -> None:
        """More of the listing."""
        refs = list(window)
        sizes = [ref.size_bytes or 0 for ref in refs]
        # Weights must not change under way; the first window says what is usual.
        self._usual_bytes = self._usual_bytes or max(1.0, sum(sizes) / max(len(sizes), 1))
        for ref, size_bytes in zip(refs, sizes, strict=True):
            weight = size_bytes + self._usual_bytes
            priority = weight / (1.0 - self._random.random())
            entry = priority, self.n_videos, weight, ref
            if len(self._kept) <= self._most:
                heapq.heappush(self._kept, entry)
            else:
                heapq.heappushpop(self._kept, entry)
            self.n_videos += 1
            self.n_bytes += size_bytes
            if is_remote(ref.uri):
                self.n_requests += n_requests_of(size_bytes)

    def videos(self) -> list[SampledVideo]:
        """The sample so far, in the order of the listing."""
        kept, threshold = sorted(self._kept), 0.0
        if len(kept) > self._most:  # the first one that is left out says where the line is
            threshold, kept = kept[0][0], kept[1:]
        return [
            SampledVideo(ref=ref, weight=max(1.0, threshold / weight))
            for _, _, weight, ref in sorted(kept, key=lambda entry: entry[1])
        ]
