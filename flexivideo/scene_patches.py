"""Scenes at the size the model sees, as the normalised patches it takes.

The temporal kernel meets a scene through virtual frames, which are weighted sums of its frames.
What is summed are normalised pixels, so the mean is taken off as often as a virtual frame's weights
add up to: once in "tei" and "pi_const", less in short scenes of "pi".

Shapes: T raw frames, V virtual frames of a scene, H, W pixels, 3 RGB, P patch side, M patches a
side to a token, K scenes of a clip, N patches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from flexivideo.virtual_frames import to_virtual_frames, virtual_frame_weights
from flexivideo.visual_spec import VisualSpec

__all__ = ["ClipInput", "SceneInput", "clip_patches", "resize_frames", "still_clip"]

# CLIP's statistics, which Qwen2.5-VL's vision tower was trained with.
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)

# Raw frames, and virtual ones as they travel and as they are made.
FRAME_DTYPES = ("uint8", "float16", "float32")


@dataclass(frozen=True, kw_only=True)
class SceneInput:
    """A scene at the size the model sees.

    Attributes:
        frames: uint8 [T,H,W,3] raw, or float16/float32 [V,H,W,3] virtual.
        n_frames: T, also where virtual frames stand for them.
        start_s: start, seconds.
        end_s: end, seconds, not included.
    """

    frames: NDArray[np.generic]
    n_frames: int
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class ClipInput:
    """A run of scenes that gets one caption."""

    scenes: tuple[SceneInput, ...]

    def __post_init__(self) -> None:
        for scene in self.scenes:
            shape, dtype = scene.frames.shape, scene.frames.dtype
            if len(shape) != 4 or shape[3] != 3 or dtype.name not in FRAME_DTYPES:
                raise ValueError(
                    f"a scene's frames are {dtype} of shape {shape}; expected uint8 (frames, "
                    f"height, width, 3), or virtual frames in float16 or float32"
                )
            if not 0 <= scene.end_s - scene.start_s < math.inf:  # nor is it of NaN
                raise ValueError(
                    f"a scene lasts from {scene.start_s} to {scene.end_s} s; expected finite "
                    f"times, the end not before the start"
                )
        sizes = {scene.frames.shape[1:] for scene in self.scenes}
        if len(sizes) != 1:
            raise ValueError(
                f"a clip has {len(self.scenes)} scenes of sizes {sorted(sizes)}; "
                f"expected at least one scene, all of one size"
            )


def still_clip(image_HW3: NDArray[np.uint8], spec: VisualSpec) -> ClipInput:
    """An image as a scene of repeated frames, one a tap of the kernel, uint8 [H,W,3] of any size.

    Source: the paper's training, "image inputs use frame repetition".

    Raises:
        ValueError: if it is of another kind or shape.
    """
    if not isinstance(image_HW3, np.ndarray):
        raise ValueError(
            f"an image is a {type(image_HW3).__name__}; expected an array, uint8 (height, width, "
            f"3): numpy.asarray(image.convert('RGB')) makes one of a picture of Pillow's"
        )
    if image_HW3.dtype != np.uint8 or image_HW3.ndim != 3 or image_HW3.shape[2] != 3:
        raise ValueError(
            f"an image is {image_HW3.dtype} of shape {image_HW3.shape}; expected uint8 "
            f"(height, width, 3), grey levels 0 to 255"
        )
    n_frames = spec.n_virtual_frames
    frames = resize_frames(image_HW3[None], spec.frame_size(*image_HW3.shape[:2]))
    scene = SceneInput(
        frames=frames.repeat(n_frames, axis=0),
        n_frames=n_frames,
        start_s=0.0,
        end_s=n_frames / spec.sample_fps,
    )
    return ClipInput(scenes=(scene,))


def clip_patches(clips: Sequence[ClipInput], spec: VisualSpec) -> Tensor:
    """Patches float32 [N, 3 * V * P * P] of clips, one after another.

    They stand in Qwen2-VL's order: token by token, M x M patches each.

    Raises:
        ValueError: if frames are not whole tokens, or not as many as they should be.
    """
    counts = [len(clip.scenes) * _patches_a_frame(clip, spec) for clip in clips]
    values = len(IMAGE_MEAN) * spec.n_virtual_frames * spec.patch_size**2
    patches = torch.empty(sum(counts), values)
    for part, clip in zip(patches.split(counts), clips, strict=True):
        _write_patches(part, clip, spec)
    return patches


def resize_frames(frames_THWC: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames at another (height, width), bicubic with antialiasing as Qwen2-VL's processor."""
    if frames_THWC.shape[1:3] == size:
        return frames_THWC
    frames = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2)
    scaled = functional.interpolate(frames, size=size, mode="bicubic", antialias=True)
    return scaled.permute(0, 2, 3, 1).contiguous().numpy()


def _patches_a_frame(clip: ClipInput, spec: VisualSpec) -> int:
    height, width = clip.scenes[0].frames.shape[1:3]
    factor = spec.patch_size * spec.merge_size
    if height % factor or width % factor:
        raise ValueError(
            f"frames are {width} x {height} px; expected multiples of {factor}, such as "
            f"{spec.frame_size(height, width)[::-1]}"
        )
    return int(height * width // spec.patch_size**2)


def _write_patches(patches: Tensor, clip: ClipInput, spec: VisualSpec) -> None:
    mode, t_init, side, merge = (
        spec.temporal_resample,
        spec.t_init,
        spec.patch_size,
        spec.merge_size,
    )
    virtual, totals = [], []
    for scene in clip.scenes:
        n_frames = scene.n_frames
        virtual.append(to_virtual_frames(scene.frames, n_frames, mode=mode, t_init=t_init))
        totals.append(virtual_frame_weights(n_frames, mode=mode, t_init=t_init).sum(axis=1))
    pixels_KVHWC = torch.from_numpy(np.stack(virtual))
    n_scenes, n_virtual, height, width, channels = pixels_KVHWC.shape
    rows, columns = height // (side * merge), width // (side * merge)
    pixels = pixels_KVHWC.view(
        n_scenes, n_virtual, rows, merge, side, columns, merge, side, channels
    )
    # K, rows, columns, merge rows, merge columns, channels, V, patch rows, patch columns
    pixels = pixels.permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
    # In place, and where a channel's values lie side by side.
    out = patches.view(pixels.shape).copy_(pixels)
    mean_C, std_C = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
    total_KV = torch.from_numpy(np.stack(totals)).float()
    offset_KCV = total_KV[:, None, :] * (mean_C / std_C)[None, :, None]
    out *= (1 / (255 * std_C))[:, None, None, None]
    out -= offset_KCV[:, None, None, None, None, :, :, None, None]
