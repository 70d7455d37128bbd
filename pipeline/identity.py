"""Deterministic ids: the same input and settings give the same ids for ever.

An id is a digest of a canonical JSON array of its parts, so no two lists of parts run together
("ab", "c" against "a", "bc"), and nothing depends on a process, a platform or a dictionary's order.
"""

import hashlib
import json
from collections.abc import Mapping

__all__ = [
    "clip_id",
    "commit_id",
    "commit_sequence",
    "digest",
    "scene_id",
    "settings_id",
    "video_id",
]

# 128 bits: a collision among 10^12 ids has a chance below 10^-14.
ID_BYTES = 16


def digest(*parts: str | int | float | bool | None) -> str:
    """Hex digest (32 characters) of the parts, in order, each with its type."""
    canonical = json.dumps(parts, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode("ascii"), digest_size=ID_BYTES).hexdigest()


def settings_id(kind: str, settings: Mapping[str, object]) -> str:
    """Id of one group of settings: ``<kind>-<digest of its sorted JSON>``.

    The kind in front makes a ``segmenter_id`` in a ``model_id`` column visible to the eye.
    """
    canonical = json.dumps(settings, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return f"{kind}-{digest(kind, canonical)[:16]}"


def video_id(
    uri: str, version: str, *, start_s: float | None = None, end_s: float | None = None
) -> str:
    """Id of one object in one version (``version``: etag, or size and mtime on disks).

    Or of a range of it, which is a video of its own: then ``start_s`` is given.
    """
    time_range = () if start_s is None else (start_s, end_s)
    return digest("video", uri, version, *time_range)


def scene_id(video: str, segmenter: str, scene_index: int) -> str:
    """Id of a scene of a video under one segmenter."""
    return digest("scene", video, segmenter, scene_index)


def clip_id(
    video: str, segmenter: str, packing: str, model: str, prompt: str, clip_index: int
) -> str:
    """Id of a clip's caption: a new model or prompt gives a new one, the same gives the same."""
    return digest("clip", video, segmenter, packing, model, prompt, clip_index)


def commit_id(run_id: str, sequence: int) -> str:
    """Id of a commit; ids sort as the commits do."""
    return f"{sequence:012d}-{digest('commit', run_id, sequence)[:8]}"


def commit_sequence(commit: str) -> int:
    """The sequence number in a commit's id."""
    return int(commit.partition("-")[0])
