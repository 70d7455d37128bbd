"""Which weights gave a result: a digest over a checkpoint's files."""

import hashlib
from functools import cache

from flexivideo.visual_spec import checkpoint_folder

__all__ = ["model_digest"]

# What can change a caption or a vector; a model card can not.
DIGESTED_SUFFIXES = (".safetensors", ".json", ".jinja", ".txt")


@cache
def model_digest(model: str | None) -> str:
    """Digest (32 hex characters) of a checkpoint's weights, configuration and tokenizer.

    The files are streamed, so the memory is small whatever the weights; a folder's name, its dates
    and its other files do not matter.

    Args:
        model: a folder, a hub name, or None for the embedded checkpoint.

    Raises:
        ModelError: if there is no such checkpoint.
    """
    digest = hashlib.sha256()
    folder = checkpoint_folder(model)
    for path in sorted(folder.iterdir()):
        if path.suffix in DIGESTED_SUFFIXES:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            digest.update(path.name.encode() + b"\0" + content)
    return digest.hexdigest()[:32]
