"""What a run can be told, a frozen dataclass a stage.

These dataclasses are the command line's options and the TOML file's tables as well: an attribute's
sentence is its help. Whatever changes a result is part of an id (see :class:`RunIdentity`).
"""

import json
from dataclasses import Field, dataclass, field, fields
from importlib.util import find_spec
from typing import Any

from flexivideo.errors import SettingsError
from pipeline.decode_settings import DecodeSettings
from pipeline.node_choice import NodeChoice
from pipeline.setting_ranges import ABOVE_ZERO, AT_LEAST_ONE, NOT_BELOW_ZERO, in_ranges
from pipeline.store_settings import OutStoreSettings, StoreSettings

__all__ = [
    "CaptionSettings",
    "CommitSettings",
    "IndexSettings",
    "PackingSettings",
    "PoolSettings",
    "SegmentationSettings",
]

DAY_S = 24 * 3600.0

# Kernels that transformers offers for Qwen2.5-VL.
ATTENTIONS = ("eager", "sdpa", "flash_attention_2")


@dataclass(frozen=True, kw_only=True)
class SegmentationSettings:
    """Which frames are looked at, and where a scene ends: together the ``segmenter_id``.

    Attributes:
        sample_fps: Frames sampled a second of video. Default: the checkpoint's own rate.
        tau: ATS threshold on the frame difference. Default: the checkpoint's (the paper's: 0.2).
        max_scene_frames: Longest scene, in sampled frames.
        ats_side_px: ATS sees frames of this side squared in area, aspect ratio kept, pixels.
        ats_stride: ATS compares every n-th pixel of every n-th row.
    """

    sample_fps: float | None = None
    tau: float | None = None
    max_scene_frames: int = 64
    ats_side_px: int = 448
    ats_stride: int = 4

    def __post_init__(self) -> None:
        in_ranges(self, sample_fps=ABOVE_ZERO, tau=NOT_BELOW_ZERO, max_scene_frames=AT_LEAST_ONE)
        in_ranges(self, ats_side_px=(16, 16384), ats_stride=(1, 1024))


@dataclass(frozen=True, kw_only=True)
class PackingSettings:
    """How scenes become clips, together the ``packing_id``.

    Attributes:
        clip_s: A clip ends before the scene that would make it longer than this, seconds.
        min_clip_s: A cut closes a clip only when the clip is at least this long, seconds.
        cut_delta: Frame difference from which a scene boundary is a cut, where a clip ends.
        max_clip_tokens: A clip ends before the scene that would take it over these visual tokens.
        max_pixels: Most pixels of a frame as the model sees it. Default: the checkpoint's.
    """

    clip_s: float = 10.0
    min_clip_s: float = 2.0
    cut_delta: float = 1.0
    max_clip_tokens: int = 4096
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        in_ranges(self, clip_s=ABOVE_ZERO, min_clip_s=ABOVE_ZERO, cut_delta=ABOVE_ZERO)
        in_ranges(self, max_clip_tokens=AT_LEAST_ONE, max_pixels=AT_LEAST_ONE)


@dataclass(frozen=True, kw_only=True)
class CaptionSettings:
    """The model, what it is asked, and how much it is given at once.

    Attributes:
        model: Folder or hub name, ours or stock Qwen2.5-VL. Default: the embedded one.
        prompt: What the model is asked of each clip. Default: the checkpoint's own prompt.
        max_new_tokens: Longest caption, tokens.
        dtype: float32, bfloat16 or float16.
        attention: sdpa, eager or flash_attention_2. Default: flash-attn where installed, else sdpa.
        temporal_resample: tei, pi or pi_const. Default: the checkpoint's; tei for a stock model.
        batch_clips: Clips handed to a model actor at a time.
        batch_tokens: Most tokens (visual, prompt and new ones) in one forward pass.
    """

    model: str | None = None
    prompt: str | None = None
    max_new_tokens: int = 128
    dtype: str = "float32"
    attention: str | None = None
    temporal_resample: str | None = None
    batch_clips: int = 16
    batch_tokens: int = 16384

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise SettingsError(f"dtype is {self.dtype!r}; expected float32, bfloat16 or float16")
        if self.temporal_resample not in (None, "tei", "pi", "pi_const"):
            raise SettingsError(
                f"temporal_resample is {self.temporal_resample!r}; expected tei, pi or pi_const"
            )
        if self.attention not in (None, *ATTENTIONS):
            raise SettingsError(
                f"attention is {self.attention!r}; expected {', '.join(ATTENTIONS)}"
            )
        if self.attention == "flash_attention_2" and not find_spec("flash_attn"):
            raise SettingsError(
                "attention is 'flash_attention_2', and flash-attn is not installed; expected it "
                "(pip install 'flexivideo[flash]'), or sdpa"
            )
        in_ranges(self, max_new_tokens=AT_LEAST_ONE)
        in_ranges(self, batch_clips=AT_LEAST_ONE, batch_tokens=AT_LEAST_ONE)


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """How many workers, and where. Defaults come from what the cluster has: ``pipeline.pools``.

    Attributes:
        decode_min: Fewest decode workers. Default: 1.
        decode_max: Most decode workers. Default: the CPUs that the model actors leave.
        caption_min: Fewest model actors. Default: 1.
        caption_max: Most model actors. Default: one a GPU; without GPUs, one a quarter of the CPUs.
        caption_gpus: GPUs of a model actor. Default: 1 where the cluster has any. Name it where an
            autoscaler has yet to add them, or 0 to leave them alone.
        decode_on: Nodes for decode workers: a label, NAME=VALUE, or a resource, NAME.
        caption_on: Nodes for model actors, likewise.
        silent_after_s: Once no row has come for this long, say what each stage does, seconds.
    """

    decode_min: int | None = None
    decode_max: int | None = None
    caption_min: int | None = None
    caption_max: int | None = None
    caption_gpus: float | None = None
    decode_on: str | None = None
    caption_on: str | None = None
    silent_after_s: float = 300.0

    def __post_init__(self) -> None:
        in_ranges(self, caption_gpus=(0, 1024), silent_after_s=ABOVE_ZERO)
        for name in ("decode_on", "caption_on"):
            NodeChoice.parse(name, getattr(self, name))
        for low_name, high_name in (("decode_min", "decode_max"), ("caption_min", "caption_max")):
            low, high = getattr(self, low_name), getattr(self, high_name)
            in_ranges(self, **{low_name: AT_LEAST_ONE, high_name: AT_LEAST_ONE})
            if low is not None and high is not None and low > high:
                raise SettingsError(
                    f"{low_name} is {low} and {high_name} is {high}; expected the first "
                    f"not above the second"
                )


@dataclass(frozen=True, kw_only=True)
class CommitSettings:
    """When finished videos become visible, and how long a silent holder keeps the root.

    Attributes:
        every_s: Finished videos are committed together at least this often, seconds.
        every_rows: ... and as soon as this many rows wait.
        keep_every_s: What has come of a video that takes longer is kept so often, seconds.
        lease_s: A holder that has not renewed its lease for this long has lost it, seconds.
        stop_within_s: After SIGTERM or SIGINT the run ends within this time, seconds; a commit that
            is not through by then is left to the next run.
        embedding_dtype: Type of stored vectors: float32 or float16.
    """

    every_s: float = 20.0
    every_rows: int = 20_000
    keep_every_s: float = 300.0
    lease_s: float = 60.0
    stop_within_s: float = 25.0
    embedding_dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.embedding_dtype not in ("float32", "float16"):
            raise SettingsError(
                f"embedding_dtype is {self.embedding_dtype!r}; expected float32 or float16"
            )
        in_ranges(self, every_s=(0, DAY_S), every_rows=AT_LEAST_ONE, lease_s=(1, DAY_S))
        in_ranges(self, keep_every_s=(0, DAY_S), stop_within_s=(0.1, DAY_S))


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """All settings of an indexing run."""

    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    packing: PackingSettings = field(default_factory=PackingSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    caption: CaptionSettings = field(default_factory=CaptionSettings)
    pools: PoolSettings = field(default_factory=PoolSettings)
    commit: CommitSettings = field(default_factory=CommitSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    out_store: OutStoreSettings = field(default_factory=OutStoreSettings)

    @classmethod
    def from_json(cls, text: str) -> "IndexSettings":
        """The settings that a run's row holds; what it does not name is as by default."""
        parts = json.loads(text)
        return cls(**{group.name: _of(group)(**parts.get(group.name, {})) for group in fields(cls)})

    @property
    def root_store(self) -> StoreSettings:
        """How the dataset's store is reached: always with credentials, at our own costs."""
        return StoreSettings(
            endpoint_url=self.out_store.out_endpoint_url or self.store.endpoint_url,
            profile=self.out_store.out_profile or self.store.profile,
        )


def _of(group: "Field[Any]") -> type[Any]:
    """The dataclass of a group of settings, which is its own default."""
    kind: type[Any] = group.default_factory  # type: ignore[assignment]
    return kind
