"""What stands in a checkpoint's JSON files, read as what it has to be, or named."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flexivideo.errors import ModelError

__all__ = ["pixel_limits", "rate", "read_json", "whole"]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: if the file holds anything else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{path} holds a {type(document).__name__}; expected a JSON object")
    return document


def whole(document: Mapping[str, Any], name: str, default: int, *, path: Path) -> int:
    """A whole number above zero.

    Args:
        document: what stands in the file, or in a part of it.
        name: of the field.
        default: where there is no such field.
        path: of the file, for the message.

    Raises:
        ModelError: if anything else stands there.
    """
    value = document.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"{path}: {name} is {value!r}; expected a whole number above zero")
    return value


def rate(document: Mapping[str, Any], name: str, default: float, *, path: Path) -> float:
    """A number, with or without a fraction; else as :func:`whole`."""
    value = document.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ModelError(f"{path}: {name} is {value!r}; expected a number")
    return float(value)


def pixel_limits(folder: Path) -> Mapping[str, int]:
    """``min_pixels`` and ``max_pixels`` of a checkpoint, as far as it names them.

    Each generation of transformers wrote them elsewhere.

    Raises:
        ModelError: if they are no whole numbers above zero.
    """
    for file in ("processor_config.json", "preprocessor_config.json"):
        path = folder / file
        if path.is_file():
            document = read_json(path)
            document |= _part(document, "image_processor", path)
            size = _part(document, "size", path)
            named = {
                "min_pixels": document.get("min_pixels") or size.get("shortest_edge"),
                "max_pixels": document.get("max_pixels") or size.get("longest_edge"),
            }
            return {name: whole(named, name, 0, path=path) for name in named if named[name]}
    return {}


def _part(document: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    part = document.get(name) or {}
    if not isinstance(part, dict):
        raise ModelError(f"{path}: {name} is a {type(part).__name__}; expected an object")
    return part
