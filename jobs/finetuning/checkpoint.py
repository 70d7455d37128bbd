"""Checkpoints of a run: each a checkpoint that can be used as it is, with the optimizer beside it.

A folder ``step-<n>`` appears whole, by its renaming, or not at all: kill -9 at any moment leaves
the one before. (Ray Train's own record of checkpoints is overwritten in place, so a kill in the
middle of that would leave a run that cannot go on.) Tensors are safetensors, whole and in float32,
so a run may go on with another number of workers.
"""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import FlexiVideoProcessor

__all__ = ["newest_checkpoint", "restore_optimizers", "save_checkpoint", "save_model"]

OPTIMIZER, STATE = "optimizer.safetensors", "training_state.json"

Optimizers = Sequence[torch.optim.Optimizer]


def newest_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """The newest whole checkpoint and how many steps were done by then."""
    found = sorted(
        (int(match[1]), path)
        for path in folder.glob("step-*")
        if (match := re.fullmatch(r"step-(\d+)", path.name))
    )
    return (found[-1][1], found[-1][0]) if found else None


def save_checkpoint(
    folder: Path,
    step: int,
    *,
    accelerator: Accelerator,
    model: FlexiVideoForConditionalGeneration,
    processor: FlexiVideoProcessor,
    optimizers: Optimizers,
    keep: int,
) -> None:
    """Write the state after a step; every worker calls it, one of them writes."""
    moments = {
        f"{name}/{key}": _whole(value)
        for name, state in _states(model, optimizers)
        for key, value in state.items()
    }
    unfinished, finished = folder / f"unfinished-{step:08d}", folder / f"step-{step:08d}"
    save_model(
        unfinished,
        accelerator=accelerator,
        model=model,
        processor=processor,
        dtype=torch.float32,
    )
    if accelerator.is_main_process:
        save_file(moments, unfinished / OPTIMIZER)
        (unfinished / STATE).write_text(json.dumps({"step": step}) + "\n")
        unfinished.rename(finished)
        for old in sorted(folder.glob("step-*"))[:-keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def restore_optimizers(checkpoint: Path, model: nn.Module, optimizers: Optimizers) -> None:
    """Give the optimizers the state of a checkpoint."""
    owners = {
        name: (optimizer, parameter)
        for optimizer in optimizers
        for name, parameter in _named(model, optimizer)
    }
    with safe_open(checkpoint / OPTIMIZER, framework="pt") as file:
        for full_name in file.keys():  # noqa: SIM118 - no mapping
            name, key = full_name.rsplit("/", 1)
            optimizer, parameter = owners[name]
            value = file.get_tensor(full_name)
            if value.shape == parameter.shape:
                value = _like(value, parameter)
            optimizer.state[parameter][key] = value


def save_model(
    folder: Path,
    *,
    accelerator: Accelerator,
    model: FlexiVideoForConditionalGeneration,
    processor: FlexiVideoProcessor,
    dtype: torch.dtype,
) -> None:
    """Write a checkpoint that can be used; every worker calls it, one of them writes."""
    # By parameter, not by name: a tied head is the embedding under a second name.
    weights = {name: _whole(value).to(dtype) for name, value in model.named_parameters()}
    if accelerator.is_main_process:
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder, state_dict=weights)
        processor.save_pretrained(folder)
        for path in folder.iterdir():
            path.chmod(0o644)  # safetensors writes for the owner alone
    accelerator.wait_for_everyone()


def _states(model: nn.Module, optimizers: Optimizers) -> Iterator[tuple[str, dict[str, Tensor]]]:
    for optimizer in optimizers:
        for name, parameter in _named(model, optimizer):
            yield name, optimizer.state[parameter]


def _named(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that an optimizer moves, with their names in the model, in its order."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield names[id(parameter)], parameter


def _whole(tensor: Tensor) -> Tensor:
    """A tensor on the CPU, put together where it is sharded; every worker has to ask."""
    tensor = tensor.detach()
    whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole.cpu().contiguous()


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """The whole tensor where and as the parameter is."""
    if isinstance(parameter, DTensor):
        moved = value.to(parameter.to_local().device)
        return distribute_tensor(moved, parameter.device_mesh, parameter.placements)
    return value.to(parameter.device)
