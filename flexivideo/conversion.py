"""From a Qwen2.5-VL checkpoint to a FlexiVideo checkpoint, one shard at a time.

Weights, vocabulary and generation settings stay as they are. In "tei" mode the patch
embedding does too; for "pi" and "pi_const" its temporal kernel is expanded to t_init taps (the
paper's "Temporal Expansion Initialization"). What changes besides is the configuration.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from flexivideo.checkpoint_tensors import (
    INDEX,
    CheckpointTensors,
    check_tensors,
    list_tensors,
    name_in_model,
)
from flexivideo.checkpoints import GENERATION, config_as_saved, load_processor
from flexivideo.errors import ModelError
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.temporal_kernel import expand_kernel
from flexivideo.unfinished_folder import unfinished_folder
from flexivideo.virtual_frames import n_virtual_frames
from flexivideo.visual_spec import VisualSpec, checkpoint_folder

__all__ = ["PATCH_EMBEDDING", "convert_checkpoint"]

PATCH_EMBEDDING = "model.visual.patch_embed.proj.weight"


def _go_on() -> None:
    """Nobody asks for an end."""


def convert_checkpoint(
    source: str,
    destination: Path,
    *,
    temporal_resample: str = "tei",
    t_init: int = 6,
    check: Callable[[], None] = _go_on,
) -> CheckpointTensors:
    """Write a FlexiVideo checkpoint; the folder appears whole or not at all.

    Never more than one shard is in memory.

    Args:
        source: folder or hub name of a Qwen2.5-VL checkpoint, or of one of ours in "tei" mode.
        destination: folder to make; must not be there.
        temporal_resample: "tei", "pi" or "pi_const".
        t_init: taps of the expanded kernel, a multiple of the source's.
        check: called between shards, and raises to end it there.

    Returns:
        The tensors of the new checkpoint.

    Raises:
        ModelError: if the source is no such checkpoint, a tensor is missing, misshapen or unknown,
            t_init does not fit, or the destination is there.
    """
    if destination.exists():
        raise ModelError(f"{destination} is there already; expected a name that is free")
    folder = checkpoint_folder(source)
    spec = VisualSpec.from_pretrained(source)
    if spec.temporal_resample != "tei":
        raise ModelError(
            f"{folder} holds an expanded kernel ({spec.temporal_resample}); expected a stock "
            f"Qwen2.5-VL checkpoint, or one of ours in tei mode"
        )
    tensors, config = list_tensors(folder), config_as_saved(folder)
    check_tensors(tensors, config)
    try:
        new = replace(spec, temporal_resample=temporal_resample, t_init=t_init)
        # Refused before anything is written.
        expand_kernel(np.empty((1, 1, config.vision_config.temporal_patch_size, 1, 1)), t_init)
    except ValueError as error:
        raise ModelError(str(error)) from error
    processor = load_processor(source)
    config.temporal_resample, config.t_init = temporal_resample, t_init
    config.vision_config.temporal_patch_size = n_virtual_frames(
        mode=temporal_resample, t_init=t_init
    )
    config.architectures = ["FlexiVideoForConditionalGeneration"]

    with unfinished_folder(destination) as unfinished:
        n_bytes = 0
        for shard in tensors.shards:
            check()
            n_bytes += _convert_shard(
                folder / shard, unfinished / shard, config.vision_config.temporal_patch_size
            )
        if (folder / INDEX).is_file():
            _write_index(unfinished, tensors, n_bytes)
        if (folder / GENERATION).is_file():
            shutil.copyfile(folder / GENERATION, unfinished / GENERATION)
        config.save_pretrained(unfinished)
        FlexiVideoProcessor.from_spec(processor.tokenizer, new).save_pretrained(unfinished)
        written = list_tensors(unfinished)
        check_tensors(written, config)
        check()
    return replace(written, folder=destination)


def _convert_shard(source: Path, destination: Path, taps: int) -> int:
    """Copy a file, its patch embedding with so many taps if it holds that; returns its bytes."""
    with safe_open(source, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        for name, old in tensors.items():
            if name_in_model(name) == PATCH_EMBEDDING and old.shape[2] != taps:
                expanded = torch.from_numpy(expand_kernel(old.double().numpy(), taps))
                tensors[name] = expanded.to(old.dtype).contiguous()
        save_file(tensors, destination, metadata={"format": "pt"})
    destination.chmod(0o644)  # safetensors writes for the owner alone
    return sum(tensor.nbytes for tensor in tensors.values())


def _write_index(folder: Path, tensors: CheckpointTensors, n_bytes: int) -> None:
    placed = {name: shard for shard, names in tensors.shards.items() for name in names}
    index = {"metadata": {"total_size": n_bytes}, "weight_map": placed}
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
