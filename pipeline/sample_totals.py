"""From what was seen of a sample to totals of the listing, for any quantity."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow.compute as pc

from pipeline.decode_plan import DecodePlan
from pipeline.estimates import Estimate, header_total, stretch_total
from pipeline.glimpse import STRETCH_S, VideoGlimpse
from pipeline.listing_sample import ListingSample
from pipeline.stretch_patterns import LikeStretch, like_stretch
from pipeline.survey import Header, Stretch

__all__ = ["SampleTotals", "WatchedVideo"]

OfHeader = Callable[[VideoGlimpse], float]


@dataclass(frozen=True, kw_only=True)
class WatchedVideo:
    """A video of which a stretch was watched, as if all of it were like that.

    Attributes:
        seen: what was seen of it.
        like: its scenes and clips.
        thumbnail_bytes: mean of a clip's picture.
    """

    seen: VideoGlimpse
    like: LikeStretch
    thumbnail_bytes: float

    @classmethod
    def of(cls, stretch: Stretch, plan: DecodePlan) -> "WatchedVideo":
        """The video of a stretch."""
        scenes = [scene for row in stretch.clips["scenes"].to_pylist() for scene in row]
        pictures = pc.struct_field(stretch.clips["thumbnail"], "jpeg")
        return cls(
            seen=stretch.seen,
            like=like_stretch(scenes, stretch.seen, plan),
            thumbnail_bytes=pc.mean(pc.binary_length(pictures)).as_py() or 0.0,
        )


class SampleTotals:
    """Totals by quantity."""

    def __init__(
        self,
        sample: ListingSample,
        headers: Sequence[Header],
        stretches: Sequence[Stretch],
        plan: DecodePlan,
    ) -> None:
        self._sample, self._headers = sample, headers
        self._weights = [header.video.weight for header in headers]
        self._places = [stretch.header.seen for stretch in stretches]
        self._watched = [WatchedVideo.of(stretch, plan) for stretch in stretches]

    def number(self, is_counted: Callable[[VideoGlimpse], bool]) -> Estimate:
        """Videos of which something is true by their headers."""
        values = [float(is_counted(header.seen)) for header in self._headers]
        ones = [1.0] * len(values)
        return header_total(values, self._weights, ones, self._sample.n_videos)

    def of_headers(self, quantity: OfHeader) -> Estimate:
        """What headers tell of each video; nothing of those that cannot be read."""
        values = [_usable(header.seen, quantity) for header in self._headers]
        sizes = [float(header.video.size_bytes) for header in self._headers]
        return header_total(values, self._weights, sizes, self._sample.n_bytes)

    def of_stretches(self, quantity: Callable[[WatchedVideo], float], *, per: OfHeader) -> Estimate:
        """What stretches show, for as much of something that headers tell.

        Args:
            quantity: of a whole video that is like its stretch.
            per: what it goes with, more or less.
        """
        seconds = [place.duration_s for place in self._places]
        return stretch_total(
            [quantity(one) / s for one, s in zip(self._watched, seconds, strict=True)],
            [per(place) / s for place, s in zip(self._places, seconds, strict=True)],
            self.of_headers(per),
            seen_share=self._seen_share,
        )

    @cached_property
    def _seen_share(self) -> float:
        all_s = self.of_headers(lambda seen: seen.duration_s).value
        return min(1.0, len(self._watched) * STRETCH_S / all_s) if all_s else 1.0


def _usable(seen: VideoGlimpse, quantity: OfHeader) -> float:
    return quantity(seen) if seen.duration_s and not seen.error_kind else 0.0
