"""Scenes at the size the model sees, as the normalised patches it takes.

The temporal kernel meets a scene through virtual frames, which are weighted sums of its frames.
What is summed are normalised pixels, so the mean is taken off as often as a virtual frame's weights
add up to: once in "tei" and "pi_const", less in short scenes of "pi".

Shapes: T raw frames, V virtual frames of a scene, H, W pixels, 3 RGB, P patch side, M patches a
side to a token, K scenes of a clip, N patches.
"""

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
        sizes = {scene.frames.shape[1:] for scene in self.scenes}
        if len(sizes) != 1:
            raise ValueError(
                f"a clip has {len(self.scenes)} scenes of sizes {sorted(sizes)}; "
                f"expected at least one scene, all of one size"
            )


def still_clip(image_HW3: NDArray[np.uint8], spec: VisualSpec) -> ClipInput:
    """An image as a scene of repeated frames, one a tap of the kernel, uint8 [H,W,3] of any size.

    Source: the paper's training, "image inputs use frame repetition".
    """
    n_frames = spec.n_virtual_frames
    frames = resize_frames(image_HW3[None], spec.frame_size(*image_HW3.shape[:2]))
    scene = SceneInput(
        frames=frames.repeat(n_frames, axis=0),
        n_frames=n_frames,
        start_s=0.0,
        end_s=n_frames / spec.sample_fps,
    )
    return ClipInput(scenes=(scene,))


def clip_patches(clip: ClipInput, spec: VisualSpec) -> Tensor:
    """Patches float32 [N, 3 * V * P * P] in Qwen2-VL's order: token by token, M x M patches each.

    Raises:
        ValueError: if the frames are not whole tokens, or not as many as they should be.
    """
    mode, t_init = spec.temporal_resample, spec.t_init
    virtual, totals = [], []
    for scene in clip.scenes:
        n_frames = scene.n_frames
        virtual.append(to_virtual_frames(scene.frames, n_frames, mode=mode, t_init=t_init))
        totals.append(virtual_frame_weights(n_frames, mode=mode, t_init=t_init).sum(axis=1))
    pixels_KVHWC = torch.from_numpy(np.stack(virtual)) / 255
    total_KV = torch.from_numpy(np.stack(totals)).float()[:, :, None, None, None]
    pixels_KVHWC -= total_KV * torch.tensor(IMAGE_MEAN)
    return _patches(pixels_KVHWC / torch.tensor(IMAGE_STD), spec)


def resize_frames(frames_THWC: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames at another (height, width), bicubic with antialiasing as Qwen2-VL's processor."""
    if frames_THWC.shape[1:3] == size:
        return frames_THWC
    frames = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2)
    scaled = functional.interpolate(frames, size=size, mode="bicubic", antialias=True)
    return scaled.permute(0, 2, 3, 1).contiguous().numpy()


def _patches(pixels_KVHWC: Tensor, spec: VisualSpec) -> Tensor:
    n_scenes, n_virtual, height, width, channels = pixels_KVHWC.shape
    side, merge = spec.patch_size, spec.merge_size
    factor = side * merge
    if height % factor or width % factor:
        raise ValueError(
            f"frames are {width} x {height} px; expected multiples of {factor}, such as "
            f"{spec.frame_size(height, width)[::-1]}"
        )
    rows, columns = height // factor, width // factor
    pixels = pixels_KVHWC.reshape(
        n_scenes, n_virtual, rows, merge, side, columns, merge, side, channels
    )
    # K, rows, columns, merge rows, merge columns, channels, V, patch rows, patch columns
    pixels = pixels.permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return pixels.reshape(-1, channels * n_virtual * side * side)
