"""Fine-tune a checkpoint: the command ``flexivideo finetune``, and a Ray job's entry point.

    ray job submit --working-dir . -- python -m jobs.finetune --model 3b --data a.jsonl --out run

is the same command with the same options.
"""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter
from rich.console import Console

from jobs.finetuning.settings import (
    DataSettings,
    FinetuneSettings,
    OptimizationSettings,
    RunSettings,
)
from jobs.option_groups import StoreOptions
from pipeline.decode_settings import DecodeSettings
from pipeline.settings import SegmentationSettings
from pipeline.store_settings import StoreSettings

__all__ = ["finetune"]

# Groups of options in the order of the work.
DATA, SCENES, LEARNING, RUN, LIMITS = (
    Group(name, sort_key=number)
    for number, name in enumerate(("Data", "Scenes", "Learning", "Run", "Limits"), 10)
)


def finetune(
    *,
    model: str,
    out: Path,
    config: Path | None = None,
    data: Annotated[DataSettings, Parameter(name="*", group=DATA)] = DataSettings(),
    segmentation: Annotated[SegmentationSettings, Parameter(name="*", group=SCENES)] = (
        SegmentationSettings()
    ),
    optimization: Annotated[OptimizationSettings, Parameter(name="*", group=LEARNING)] = (
        OptimizationSettings()
    ),
    run: Annotated[RunSettings, Parameter(name="*", group=RUN)] = RunSettings(),
    decode: Annotated[DecodeSettings, Parameter(name="*", group=LIMITS)] = DecodeSettings(),
    store: StoreOptions = StoreSettings(),
) -> int:
    """Fine-tune a checkpoint, all of its parameters; a run that was stopped goes on.

    The paper's recipe, on a converted checkpoint:

        flexivideo convert Qwen/Qwen2.5-VL-3B-Instruct start --temporal-resample pi

        flexivideo finetune --model start --data llava_video.json --data pixmo.jsonl --out run

    The result is a checkpoint:

        flexivideo index ~/videos --out ~/index --model run/model

    Parameters
    ----------
    model: str
        Folder or hub name of the checkpoint to begin with.
    out: Path
        Folder of the run: checkpoints, metrics, its record, and at the end the model.
    config: Path
        TOML file with any of these options, by name or in tables; flags win over it.
    """
    from jobs.finetuning.launch import run_finetune  # torch takes seconds: only if needed

    console = Console(soft_wrap=True)
    settings = FinetuneSettings(
        model=model,
        data=data,
        segmentation=segmentation,
        decode=decode,
        optimization=optimization,
        run=run,
        store=store,
    )
    record = run_finetune(
        settings, out=out, say=lambda line: console.print(line, highlight=False, markup=False)
    )
    console.print(
        f"{record['n_steps_done']} steps, {record['n_clips']:.0f} clips, records left out: "
        f"{record['n_left_out']}, {record['training_s']:.0f} s; use it as --model {out / 'model'}",
        highlight=False,
        markup=False,
    )
    return 0


if __name__ == "__main__":
    from jobs.cli import main

    main(["finetune", *sys.argv[1:]])
