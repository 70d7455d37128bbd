"""What is expected of a run before it begins; ``pipeline.forecasting`` makes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.estimates import Estimate

__all__ = ["Forecast"]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is expected of a run.

    Attributes:
        n_videos: to be done.
        n_bytes: of these.
        n_requests: for their bytes; files of this machine take none.
        will_fail: error kind to number of videos, by their headers.
        codec_hours: codec to hours of video.
        video_hours: of those that can be read.
        n_scenes: rows of scenes.
        n_clips: rows of clips.
        n_visual_tokens: of these.
        decode_cpu_hours: of the decode workers.
        model_hours: of the model actors.
        model_on: "CPU" or "GPU": whose hours these are.
        model_rate: where their rate comes from, in words.
        model_teraflops: operations of the model, 1e12.
        output_bytes: of the dataset.
        n_headers: headers that were read for this.
        n_stretches: stretches that were watched.
        plan_requests: requests for these.
        plan_bytes: bytes of these requests.
    """

    n_videos: int
    n_bytes: int
    n_requests: int
    will_fail: Mapping[str, Estimate]
    codec_hours: Mapping[str, Estimate]
    video_hours: Estimate
    n_scenes: Estimate
    n_clips: Estimate
    n_visual_tokens: Estimate
    decode_cpu_hours: Estimate
    model_hours: Estimate
    model_on: str
    model_rate: str
    model_teraflops: Estimate
    output_bytes: Estimate
    n_headers: int
    n_stretches: int
    plan_requests: int
    plan_bytes: int

    def to_json(self) -> dict[str, Any]:
        """All fields, ready for ``json.dumps``; an estimate as its value and standard error."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return value.to_json() if isinstance(value, Estimate) else value
