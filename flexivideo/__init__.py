"""FlexiVideo: scenes of any length, one temporal kernel, one window each.

The public names load on first use, so that a process that only segments never loads torch.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "CaptionEngine": "captioning",
    "CaptionResult": "captioning",
    "ClipInput": "scene_patches",
    "FlexiVideoConfig": "configuration_flexivideo",
    "FlexiVideoForConditionalGeneration": "modeling_flexivideo",
    "FlexiVideoModel": "modeling_flexivideo",
    "FlexiVideoProcessor": "processing_flexivideo",
    "Scene": "segmentation",
    "SceneInput": "scene_patches",
    "SceneSegmenter": "segmentation",
    "VisualSpec": "visual_spec",
    "expand_kernel": "temporal_kernel",
    "frame_difference": "segmentation",
    "load_model": "checkpoints",
    "load_processor": "checkpoints",
    "model_digest": "model_identity",
    "refit_kernel": "temporal_kernel",
    "segment": "segmentation",
    "smart_resize": "frame_size",
    "virtual_frame_weights": "virtual_frames",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
