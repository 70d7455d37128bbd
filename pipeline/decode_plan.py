"""What a decode worker needs to know, as it travels to the worker and on to its child."""

import json
from dataclasses import asdict, dataclass

from flexivideo.visual_spec import VisualSpec
from pipeline.settings import DecodeSettings, PackingSettings, SegmentationSettings

__all__ = ["DecodePlan"]


@dataclass(frozen=True, kw_only=True)
class DecodePlan:
    """Settings of decoding, segmentation and packing, with every default settled.

    Attributes:
        segmentation: ``sample_fps`` and ``tau`` are numbers.
        packing: how scenes become clips.
        decode: limits.
        spec: how the model wants its frames.
        threads: decoder threads of one worker.
    """

    segmentation: SegmentationSettings
    packing: PackingSettings
    decode: DecodeSettings
    spec: VisualSpec
    threads: int = 1

    def to_json(self) -> str:
        """As JSON text; :meth:`from_json` reads it back equal."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "DecodePlan":
        """Inverse of :meth:`to_json`."""
        parts = json.loads(text)
        return cls(
            segmentation=SegmentationSettings(**parts["segmentation"]),
            packing=PackingSettings(**parts["packing"]),
            decode=DecodeSettings(**parts["decode"]),
            spec=VisualSpec(**parts["spec"]),
            threads=parts["threads"],
        )
