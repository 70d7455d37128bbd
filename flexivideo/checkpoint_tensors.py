"""The tensors of a checkpoint's safetensors files, checked by their headers before any is read.

Shards are opened by memory mapping, so that names, shapes and dtypes cost no memory.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from flexivideo.checkpoint_json import read_json
from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.errors import ModelError
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration

__all__ = ["CheckpointTensors", "check_tensors", "list_tensors"]

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"

# The names in safetensors' headers; quantised weights are another matter.
DTYPES = ("F32", "BF16", "F16")

LM_HEAD = "lm_head.weight"


@dataclass(frozen=True, kw_only=True)
class CheckpointTensors:
    """Where a checkpoint's tensors are.

    Attributes:
        folder: of the checkpoint.
        shards: names of its files, each with the names of its tensors as the file has them.
        shapes: of each tensor by its name in the model.
    """

    folder: Path
    shards: Mapping[str, tuple[str, ...]]
    shapes: Mapping[str, tuple[int, ...]]


def name_in_model(name: str) -> str:
    """The model's name for a tensor of a file: published checkpoints name them in an older way."""
    name = re.sub(r"^visual\.", "model.visual.", name)
    return re.sub(r"^model\.(?!language_model\.|visual\.)", "model.language_model.", name)


def list_tensors(folder: Path) -> CheckpointTensors:
    """What stands in the headers of a checkpoint's files.

    Raises:
        ModelError: if a file is missing, truncated or not safetensors, if a tensor is not where the
            index says, stands there twice, or is of another kind than 16 or 32 bit floats.
    """
    shards, shapes = {}, {}
    for shard, listed in _shards(folder).items():
        try:
            with safe_open(folder / shard, framework="pt") as file:
                names = tuple(file.keys())
                for name in names:
                    tensor = file.get_slice(name)
                    if tensor.get_dtype() not in DTYPES:
                        raise ModelError(
                            f"{folder / shard}: tensor {name} is of dtype {tensor.get_dtype()}; "
                            f"expected {', '.join(DTYPES)}: use a checkpoint that is not quantised"
                        )
                    if name_in_model(name) in shapes:
                        raise ModelError(f"{folder}: tensor {name} is there twice; expected once")
                    shapes[name_in_model(name)] = tuple(tensor.get_shape())
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{folder / shard} cannot be read as safetensors ({error}); fetch it again"
            ) from error
        absent = sorted(listed - set(names))
        if absent:
            raise ModelError(
                f"{folder / shard} lacks tensor {absent[0]}, which {INDEX} places there"
            )
        shards[shard] = names
    return CheckpointTensors(folder=folder, shards=shards, shapes=shapes)


def check_tensors(tensors: CheckpointTensors, config: FlexiVideoConfig) -> None:
    """See that the tensors are those of a model of this configuration.

    Raises:
        ModelError: naming the first tensor that is missing, misshapen or unknown.
    """
    try:
        with torch.device("meta"):
            model = FlexiVideoForConditionalGeneration(config)
    except Exception as error:  # torch and transformers say it in many ways
        raise ModelError(
            f"{tensors.folder / 'config.json'} describes no model that can be made "
            f"({type(error).__name__}: {error}); expected the configuration that its weights were "
            f"saved with"
        ) from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings and LM_HEAD not in tensors.shapes:
        del expected[LM_HEAD]
    for name, shape in expected.items():
        found = tensors.shapes.get(name)
        if found is None:
            raise ModelError(
                f"{tensors.folder} lacks tensor {name}; expected it with the shape {shape}, as its "
                f"config.json says"
            )
        if found != shape:
            raise ModelError(
                f"{tensors.folder}: tensor {name} has the shape {found}; expected {shape}, as its "
                f"config.json says"
            )
    unknown = next((name for name in tensors.shapes if name not in expected), None)
    if unknown is not None:
        raise ModelError(
            f"{tensors.folder} holds tensor {unknown}, which a model of its config.json has not; "
            f"expected Qwen2.5-VL's tensors alone (an adapter has to be merged first)"
        )


def _shards(folder: Path) -> dict[str, set[str]]:
    """Files and the tensors that the index places in each; no index: one file, nothing placed."""
    if (folder / INDEX).is_file():
        placed: dict[str, set[str]] = {}
        listed = read_json(folder / INDEX).get("weight_map") or {}
        if not isinstance(listed, dict):
            raise ModelError(
                f"{folder / INDEX} has a weight_map that is a {type(listed).__name__}; "
                f"expected an object"
            )
        for name, shard in listed.items():
            if Path(str(shard)).name != shard:
                raise ModelError(f"{folder / INDEX} names {shard!r}; expected a file beside it")
            placed.setdefault(shard, set()).add(name)
        for shard in placed:
            if not (folder / shard).is_file():
                raise ModelError(f"{folder} lacks {shard}, which {INDEX} names; fetch it again")
        if placed:
            return placed
        raise ModelError(f"{folder / INDEX} places no tensor; expected a weight_map")
    if (folder / SINGLE).is_file():
        return {SINGLE: set()}
    raise ModelError(
        f"{folder} holds neither {SINGLE} nor {INDEX}; expected weights as safetensors (weights in "
        f"pickles are never opened)"
    )
