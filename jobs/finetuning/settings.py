"""What a fine-tuning run can be told; also its command-line options and TOML tables."""

from dataclasses import dataclass, field
from pathlib import Path

from flexivideo.errors import SettingsError
from pipeline.decode_settings import DecodeSettings
from pipeline.local_uri import on_a_disk
from pipeline.setting_ranges import ABOVE_ZERO, AT_LEAST_ONE, in_ranges
from pipeline.settings import SegmentationSettings
from pipeline.store_settings import StoreSettings

__all__ = ["DataSettings", "FinetuneSettings", "OptimizationSettings", "RunSettings"]


OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What is learned from.

    Attributes:
        data: Files of records: .json, .jsonl or .parquet in any of the known layouts.
        media_root: Folder that the records' media are under. Default: the folder of each file.
        eval_data: Files of records to evaluate on, never trained on.
        scenes_from: Dataset of an index run, a folder or in an S3 store: videos that it holds are
            cut into its scenes, others by ATS under its settings. Default: all by ATS.
        prompt: Question of records that have none. Default: the checkpoint's own prompt.
        max_pixels: Most pixels of a frame as the model sees it. Default: the checkpoint's.
        max_clip_tokens: Records of more visual tokens are left out.
    """

    data: tuple[Path, ...] = ()
    media_root: Path | None = None
    eval_data: tuple[Path, ...] = ()
    scenes_from: str | None = None
    prompt: str | None = None
    max_pixels: int | None = None
    max_clip_tokens: int = 16384

    def __post_init__(self) -> None:
        for option in ("data", "eval_data"):
            for path in getattr(self, option):
                on_a_disk(option, path)
        on_a_disk("media_root", self.media_root)
        in_ranges(self, max_pixels=AT_LEAST_ONE, max_clip_tokens=AT_LEAST_ONE)


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
        in_ranges(self, epochs=ABOVE_ZERO, steps=AT_LEAST_ONE, global_batch=AT_LEAST_ONE)
        in_ranges(self, lr=ABOVE_ZERO, warm_up=(0, 1), weight_decay=(0, 1))
        in_ranges(self, max_grad_norm=ABOVE_ZERO, contrast_weight=(0, 1e6), seed=(0, 2**32 - 1))


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
        in_ranges(self, workers=AT_LEAST_ONE, batch_tokens=AT_LEAST_ONE, loaders=(1, 1024))
        in_ranges(self, threads=AT_LEAST_ONE, save_steps=AT_LEAST_ONE, eval_steps=AT_LEAST_ONE)
        in_ranges(self, keep_checkpoints=AT_LEAST_ONE, max_failures=(0, 2**31 - 1))
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise SettingsError(f"dtype is {self.dtype!r}; expected float32, bfloat16 or float16")


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """All settings of a fine-tuning run.

    Attributes:
        model: Folder or hub name of the checkpoint to begin with.
        store: How the dataset of scenes_from is reached.
    """

    model: str | None
    data: DataSettings = field(default_factory=DataSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    run: RunSettings = field(default_factory=RunSettings)
    store: StoreSettings = field(default_factory=StoreSettings)

    def __post_init__(self) -> None:
        if self.run.fsdp and self.optimization.optimizer == "muon":
            raise SettingsError(
                "optimizer is muon with fsdp; Muon needs whole matrices: expected adamw, or no fsdp"
            )
