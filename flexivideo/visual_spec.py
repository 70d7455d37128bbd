"""What a checkpoint wants to see: frame sizes, resampling mode, sampling rate and tau.

Read from the checkpoint's JSON files alone, without torch, so that a decode worker can make just
what the model will take.
"""

import json
import math
import socket
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from flexivideo.checkpoint_json import pixel_limits, rate, read_json, whole
from flexivideo.errors import ModelError, SettingsError
from flexivideo.frame_size import smart_resize
from flexivideo.temporal_kernel import check_mode
from flexivideo.virtual_frames import n_virtual_frames

__all__ = [
    "EMBEDDED_CHECKPOINT",
    "VisualSpec",
    "check_rates",
    "checkpoint_folder",
    "hub_revision",
]

EMBEDDED_CHECKPOINT = Path(__file__).parent / "embedded"

# A stock preprocessor allows 12.8 million pixels an image: 16,000 tokens a frame. For frames of a
# video this cap holds unless max_pixels is named.
STOCK_MAX_FRAME_PIXELS = 448 * 448

# Qwen2.5-VL's own training rate for video, and the paper's tau and expanded length.
DEFAULT_SAMPLE_FPS = 2.0
DEFAULT_TAU = 0.2
DEFAULT_T_INIT = 6

OURS, STOCK = "flexivideo", "qwen2_5_vl"


@dataclass(frozen=True, kw_only=True)
class VisualSpec:
    """How frames become a model's input.

    Attributes:
        patch_size: side of a patch, pixels.
        merge_size: patches a side that the connector merges into one token.
        min_pixels: fewest pixels of a frame.
        max_pixels: most pixels of a frame.
        temporal_resample: "tei", "pi" or "pi_const".
        t_init: taps of the expanded temporal kernel.
        tau: ATS threshold the checkpoint was made for.
        sample_fps: frames a second the checkpoint was made for.
        caption_prompt: what the checkpoint was trained to be asked; None: any prompt.
    """

    patch_size: int
    merge_size: int
    min_pixels: int
    max_pixels: int
    temporal_resample: str
    t_init: int
    tau: float
    sample_fps: float
    caption_prompt: str | None = None

    def __post_init__(self) -> None:
        check_mode(self.temporal_resample)

    @property
    def n_virtual_frames(self) -> int:
        """Virtual frames that stand for a scene."""
        return n_virtual_frames(mode=self.temporal_resample, t_init=self.t_init)

    @classmethod
    def from_pretrained(
        cls,
        model: str | None,
        *,
        temporal_resample: str | None = None,
        max_pixels: int | None = None,
    ) -> "VisualSpec":
        """Spec of a checkpoint: a folder, a hub name, or None for the embedded one.

        Args:
            model: which checkpoint.
            temporal_resample: instead of the checkpoint's mode (a stock Qwen2.5-VL: "tei").
            max_pixels: instead of the checkpoint's (a stock Qwen2.5-VL: 448 * 448 a frame).

        Raises:
            ModelError: if there is no such checkpoint, it is of another architecture, or cannot
                work in that mode.
            SettingsError: if max_pixels leaves no room for one visual token.
        """
        folder = checkpoint_folder(model)
        config = read_json(folder / "config.json")
        architecture = config.get("model_type")
        if architecture not in (OURS, STOCK):
            raise ModelError(
                f"{folder}: the checkpoint's model_type is {architecture!r}; "
                f"expected {OURS} or {STOCK} (Qwen2.5-VL)"
            )
        own_mode = config.get("temporal_resample", "tei")
        mode = temporal_resample or own_mode
        if mode == "tei" != own_mode:
            raise ModelError(
                f"{folder} holds an expanded kernel ({own_mode}); expected pi or pi_const for "
                f"temporal_resample, not tei"
            )
        path, pixels = folder / "config.json", pixel_limits(folder)
        vision = config.get("vision_config")
        vision = vision if isinstance(vision, dict) else {}
        side = whole(vision, "patch_size", 14, path=path)
        merge = whole(vision, "spatial_merge_size", 2, path=path)
        default_most = pixels.get("max_pixels", STOCK_MAX_FRAME_PIXELS)
        if architecture == STOCK:
            default_most = min(default_most, STOCK_MAX_FRAME_PIXELS)
        factor = side * merge
        most = max_pixels or default_most
        if most < factor**2:
            raise SettingsError(
                f"max_pixels is {most}; expected at least {factor**2}: one visual token is "
                f"{factor} x {factor} pixels"
            )
        try:
            return cls(
                patch_size=side,
                merge_size=merge,
                min_pixels=min(pixels.get("min_pixels", factor**2), most),
                max_pixels=most,
                temporal_resample=mode,
                t_init=whole(config, "t_init", DEFAULT_T_INIT, path=path),
                tau=rate(config, "tau", DEFAULT_TAU, path=path),
                sample_fps=rate(config, "sample_fps", DEFAULT_SAMPLE_FPS, path=path),
                caption_prompt=config.get("caption_prompt"),
            )
        except ValueError as error:
            raise ModelError(f"{folder} cannot be used: {error}") from error

    def frame_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Height and width at which the model sees frames of this size."""
        return smart_resize(
            height_px,
            width_px,
            factor=self.patch_size * self.merge_size,
            min_pixels=self.min_pixels,
            max_pixels=self.max_pixels,
        )

    def tokens_per_scene(self, height_px: int, width_px: int) -> int:
        """Visual tokens of one scene, whatever its length, for frames of this size."""
        height, width = self.frame_size(height_px, width_px)
        return height * width // (self.patch_size * self.merge_size) ** 2

    def to_json(self) -> str:
        """As JSON text; :meth:`from_json` reads it back equal."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "VisualSpec":
        """Inverse of :meth:`to_json`."""
        return cls(**json.loads(text))


def check_rates(*, tau: float, sample_fps: float) -> None:
    """See that a threshold and a rate can be worked with.

    Raises:
        ValueError: if they cannot.
    """
    if not (0 <= tau and math.isfinite(tau) and 0 < sample_fps and math.isfinite(sample_fps)):
        raise ValueError(
            f"tau is {tau} and sample_fps is {sample_fps}; expected finite numbers, tau not below "
            f"zero and sample_fps above"
        )


@cache
def checkpoint_folder(model: str | None, *, revision: str | None = None) -> Path:
    """Folder of a checkpoint on this machine; a hub name is fetched into the hub's cache first.

    Processes that fetch the same one at the same time wait for each other, file by file, so a
    machine fetches it once; and they map the same pages of its files, so it is read once.

    Args:
        model: a folder, which every machine must have, a hub name, or None for the embedded one.
        revision: commit of the hub's repository. Default: its newest.

    Raises:
        ModelError: if it is neither a folder with a config.json nor a name that the hub resolves.
    """
    folder = EMBEDDED_CHECKPOINT if model is None else Path(model)
    if (folder / "config.json").is_file():
        return folder
    if model is None or folder.exists():
        raise ModelError(f"{folder} holds no config.json; expected a checkpoint's folder")
    if folder.is_absolute() or "://" in model:
        raise ModelError(
            f"{model!r} is no folder on {socket.gethostname()}; expected a checkpoint's folder on "
            f"a disk that every machine has under that name, or a hub name"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    files = ["*.json", "*.safetensors", "*.jinja", "*.txt"]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=files))
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"{model!r} is no folder, and the model hub gave nothing under that name: {error}"
        ) from error


def hub_revision(model: str | None) -> str | None:
    """Commit of the hub's repository that a name stands for on this machine; None for a folder.

    Raises:
        ModelError: as :func:`checkpoint_folder`.
    """
    if model is None or Path(model).exists():
        return None
    return checkpoint_folder(model).name
