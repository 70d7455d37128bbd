"""What a decode worker needs to know, as it travels to the worker and on to its child."""

import json
from dataclasses import asdict, dataclass, field, replace

from flexivideo.visual_spec import VisualSpec
from pipeline.decode_settings import DecodeSettings
from pipeline.records import VideoRef
from pipeline.sealing import Seal, own_seal
from pipeline.settings import PackingSettings, SegmentationSettings
from pipeline.store_settings import StoreSettings

__all__ = ["DecodePlan", "Segmentation"]


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """:class:`SegmentationSettings` with every default settled; see there."""

    sample_fps: float
    tau: float
    max_scene_frames: int
    ats_side_px: int
    ats_stride: int

    @classmethod
    def of(cls, settings: SegmentationSettings, spec: VisualSpec) -> "Segmentation":
        """The settings; what they leave open is the checkpoint's own."""
        fps, tau = settings.sample_fps, settings.tau
        settled = replace(
            settings,
            sample_fps=spec.sample_fps if fps is None else fps,
            tau=spec.tau if tau is None else tau,
        )
        return cls(**asdict(settled))


@dataclass(frozen=True, kw_only=True)
class DecodePlan:
    """Settings of decoding, segmentation and packing.

    Attributes:
        segmentation: which frames are looked at, and where a scene ends.
        packing: how scenes become clips.
        decode: limits.
        spec: how the model wants its frames.
        threads: decoder threads of one worker.
        store: how object stores are reached.
        root: dataset that holds the scenes of videos which are segmented already.
        root_store: how its store is reached.
        seal: opens what signs the requests for videos.
    """

    segmentation: Segmentation
    packing: PackingSettings
    decode: DecodeSettings
    spec: VisualSpec
    threads: int = 1
    store: StoreSettings = field(default_factory=StoreSettings)
    root: str | None = None
    root_store: StoreSettings = field(default_factory=StoreSettings)
    seal: Seal = field(default_factory=own_seal)

    def unsealed(self, ref: VideoRef) -> VideoRef:
        """The reference for whoever reads the video, and nobody else."""
        if ref.signed_query is None:
            return ref
        return replace(ref, signed_query=self.seal.open(ref.signed_query))

    def to_json(self) -> str:
        """As JSON text; :meth:`from_json` reads it back equal."""
        return json.dumps(asdict(self) | {"seal": self.seal.key})

    @classmethod
    def from_json(cls, text: str) -> "DecodePlan":
        """Inverse of :meth:`to_json`."""
        parts = json.loads(text)
        return cls(
            segmentation=Segmentation(**parts["segmentation"]),
            packing=PackingSettings(**parts["packing"]),
            decode=DecodeSettings(**parts["decode"]),
            spec=VisualSpec(**parts["spec"]),
            threads=parts["threads"],
            store=StoreSettings(**parts["store"]),
            root=parts["root"],
            root_store=StoreSettings(**parts["root_store"]),
            seal=Seal(parts["seal"]),
        )
