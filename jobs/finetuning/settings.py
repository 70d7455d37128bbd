"""What a fine-tuning run can be told; also its command-line options and TOML tables."""

from dataclasses import dataclass, field
from pathlib import Path

from flexivideo.errors import SettingsError
from pipeline.settings import DecodeSettings, SegmentationSettings

__all__ = ["DataSettings", "FinetuneSettings", "OptimizationSettings", "RunSettings"]


OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What is learned from.

    Attributes:
        data: Files of records: .json, .jsonl or .parquet in any of the known layouts.
        media_root: Folder that the records' media are under. Default: the folder of each file.
        eval_data: Files of records to evaluate on, never trained on.
        scenes_from: Dataset of an index run: videos that it holds are cut into its scenes, others
            by ATS under its settings. Default: all by ATS.
        prompt: Question of records that have none. Default: the checkpoint's own prompt.
        max_pixels: Most pixels of a frame as the model sees it. Default: the checkpoint's.
        max_clip_tokens: Records of more visual tokens are left out.
    """

    data: tuple[Path, ...] = ()
    media_root: Path | None = None
    eval_data: tuple[Path, ...] = ()
    scenes_from: Path | None = None
    prompt: str | None = None
    max_pixels: int | None = None
    max_clip_tokens: int = 16384


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings:
    """How it is learned; the defaults are the paper's.

    Attributes:
        epochs: How often each record is seen, unless steps are given.
        steps: Optimizer steps.
        global_batch: Records of an optimizer step, whatever the number of workers.
        lr: Peak learning rate (Muon's, where it is used).
        warm_up: Share of the steps in which the learning rate rises; then it falls as a cosine.
        weight_decay: Of matrices.
        max_grad_norm: Longer gradients are shortened to this.
        contrast_weight: Weight of drawing a clip's vector and its caption's together.
        optimizer: adamw, or muon for training from nothing.
        seed: Of the order of the records.
    """

    epochs: float = 1.0
    steps: int | None = None
    global_batch: int = 64
    lr: float = 1e-5
    warm_up: float = 0.03
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    contrast_weight: float = 0.0
    optimizer: str = "adamw"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise SettingsError(
                f"optimizer is {self.optimizer!r}; expected {' or '.join(OPTIMIZERS)}"
            )
        for name in ("epochs", "global_batch", "lr", "max_grad_norm"):
            _above_zero(self, name)
        if not 0 <= self.warm_up < 1:
            raise SettingsError(f"warm_up is {self.warm_up}; expected a share of the steps, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Where it runs, and what is kept of it; none of this changes what is learned.

    Attributes:
        workers: Training workers. Default: one a GPU of the cluster; without GPUs, one.
        batch_tokens: Most tokens of a forward pass, padding included.
        loaders: Processes of each worker that decode and prepare batches.
        threads: CPU threads of a worker. Default: its share of the machine's.
        gradient_checkpointing: Keep no activations of the layers, compute them again.
        fsdp: Shard parameters, gradients and optimizer over the workers (FSDP2).
        save_steps: A checkpoint every so many steps.
        keep_checkpoints: Checkpoints kept, the newest ones.
        eval_steps: Evaluate every so many steps, and at the end.
        max_failures: How often lost workers are started again, from the newest checkpoint.
        dtype: Of the finished model's weights: float32, bfloat16 or float16.
    """

    workers: int | None = None
    batch_tokens: int = 16384
    loaders: int = 1
    threads: int | None = None
    gradient_checkpointing: bool = False
    fsdp: bool = False
    save_steps: int = 100
    keep_checkpoints: int = 2
    eval_steps: int = 100
    max_failures: int = 3
    dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        for name in ("batch_tokens", "loaders", "save_steps", "keep_checkpoints", "eval_steps"):
            _above_zero(self, name)
        if self.workers is not None:
            _above_zero(self, "workers")
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise SettingsError(f"dtype is {self.dtype!r}; expected float32, bfloat16 or float16")


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """All settings of a fine-tuning run.

    Attributes:
        model: Folder or hub name of the checkpoint to begin with.
    """

    model: str | None
    data: DataSettings = field(default_factory=DataSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if self.run.fsdp and self.optimization.optimizer == "muon":
            raise SettingsError(
                "optimizer is muon with fsdp; Muon needs whole matrices: expected adamw, or no fsdp"
            )


def _above_zero(settings: object, name: str) -> None:
    value = getattr(settings, name)
    if not value > 0:
        raise SettingsError(f"{name} is {value}; expected a number above zero")
