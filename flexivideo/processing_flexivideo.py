"""From scenes to what the model takes: virtual frames, normalised patches, text with placeholders.

Shapes: T raw frames, V virtual frames of a scene, H, W pixels, 3 RGB, P patch side, M patches a
side to a token, K scenes of a clip, N patches, B batch, L tokens of a sequence.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AutoProcessor, BatchFeature, ProcessorMixin

from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.segmentation import segment
from flexivideo.virtual_frames import to_virtual_frames
from flexivideo.visual_spec import VisualSpec

__all__ = ["ClipInput", "FlexiVideoProcessor", "SceneInput"]

# CLIP's statistics, which Qwen2.5-VL's vision tower was trained with.
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)

VISION_START, VIDEO_PAD, VISION_END = "<|vision_start|>", "<|video_pad|>", "<|vision_end|>"
TEXT_TYPE, VIDEO_TYPE = 0, 2


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


class FlexiVideoProcessor(ProcessorMixin):
    """Text and scenes to tensors; saved and loaded as ``processor_config.json``."""

    attributes = ["tokenizer"]  # noqa: RUF012 - the parent class reads a plain list
    tokenizer_class = "AutoTokenizer"

    # Positional, since the loader of the parent class overlooks keyword-only arguments.
    def __init__(
        self,
        tokenizer: Any = None,
        patch_size: int = 14,
        merge_size: int = 2,
        min_pixels: int = 56 * 56,
        max_pixels: int = 448 * 448,
        temporal_resample: str = "tei",
        t_init: int = 6,
        tau: float = 0.2,
        sample_fps: float = 2.0,
        caption_prompt: str | None = None,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(tokenizer, chat_template=chat_template)
        self.patch_size, self.merge_size = patch_size, merge_size
        self.min_pixels, self.max_pixels = min_pixels, max_pixels
        self.temporal_resample, self.t_init = temporal_resample, t_init
        self.tau, self.sample_fps = tau, sample_fps
        self.caption_prompt = caption_prompt
        self.video_token_id = tokenizer.convert_tokens_to_ids(VIDEO_PAD)
        if self.video_token_id in (None, tokenizer.unk_token_id):
            raise ValueError(
                f"the tokenizer has no {VIDEO_PAD} token; expected Qwen2.5-VL's special tokens"
            )

    @classmethod
    def from_spec(cls, tokenizer: Any, spec: VisualSpec) -> "FlexiVideoProcessor":
        """Processor for a checkpoint's spec, whoever's files the checkpoint has."""
        template = getattr(tokenizer, "chat_template", None)
        return cls(tokenizer, chat_template=template, **asdict(spec))

    @property
    def spec(self) -> VisualSpec:
        """What the model wants to see."""
        return VisualSpec(**{name: getattr(self, name) for name in VisualSpec.__dataclass_fields__})

    def __call__(
        self,
        text: Sequence[str] | str | None = None,
        videos: Sequence[NDArray[np.uint8]] | None = None,
        *,
        images: Sequence[NDArray[np.uint8]] | None = None,
        fps: float | None = None,
        clips: Sequence[ClipInput] | None = None,
        **_: Any,
    ) -> BatchFeature:
        """A batch of one visual a text.

        Args:
            text: B texts, each with one ``<|video_pad|>``, such as :meth:`prompt` makes; a single
                text serves all visuals.
            videos: B arrays uint8 [T,H,W,3], segmented by ATS at this checkpoint's tau.
            images: B arrays uint8 [H,W,3], each a scene of one frame, which repeats itself.
            fps: rate of the videos' frames; default: the checkpoint's.
            clips: B clips already segmented, instead.

        Returns:
            input_ids, attention_mask, mm_token_type_ids [B, L], padded on the left;
            pixel_values_videos [N, 3 * V * P * P] float32; video_grid_thw [B, 3]; scene_start_s
            [B, K] float64, padded with the last start.

        Raises:
            ValueError: if the counts differ, or a text has not exactly one placeholder.
        """
        if clips is None:
            frames = [image[None] for image in images] if images is not None else (videos or [])
            clips = [self.segment(video, fps=fps or self.sample_fps) for video in frames]
        texts = [text] * len(clips) if isinstance(text, str) else list(text or [])
        if len(texts) != len(clips) or not clips:
            raise ValueError(
                f"{len(texts)} texts came with {len(clips)} visuals; expected one visual a text"
            )
        return BatchFeature({**self.vision_inputs(clips), **self.text_inputs(texts, clips)})

    def prompt(self, question: str) -> str:
        """Text of one user turn about one clip, ready for the answer."""
        content = [{"type": "video"}, {"type": "text", "text": question}]
        return self.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    def segment(self, frames_THWC: NDArray[np.uint8], *, fps: float) -> ClipInput:
        """One clip of the frames, uint8 [T,H,W,3], cut by ATS and scaled to the model's size."""
        if frames_THWC.ndim != 4 or not len(frames_THWC):
            raise ValueError(
                f"frames have the shape {frames_THWC.shape}; expected (frames, height, width, 3), "
                f"at least one frame"
            )
        size = self.spec.frame_size(*frames_THWC.shape[1:3])
        scenes = segment(frames_THWC, tau=self.tau)
        scaled = resize_frames(frames_THWC, size)
        return ClipInput(
            scenes=tuple(
                SceneInput(
                    frames=scaled[scene.start : scene.end],
                    n_frames=scene.end - scene.start,
                    start_s=scene.start / fps,
                    end_s=scene.end / fps,
                )
                for scene in scenes
            )
        )

    def vision_inputs(self, clips: Sequence[ClipInput]) -> dict[str, Tensor]:
        """pixel_values_videos, video_grid_thw and scene_start_s of clips; see :meth:`__call__`."""
        most_scenes = max(len(clip.scenes) for clip in clips)
        patches, grids, starts = [], [], []
        for clip in clips:
            virtual = np.stack(
                [
                    to_virtual_frames(
                        scene.frames,
                        scene.n_frames,
                        mode=self.temporal_resample,
                        t_init=self.t_init,
                    )
                    for scene in clip.scenes
                ]
            )
            patches.append(self._patches(torch.from_numpy(virtual)))
            grids.append([len(virtual), *(side // self.patch_size for side in virtual.shape[2:4])])
            start_s = [scene.start_s for scene in clip.scenes]
            starts.append(start_s + [start_s[-1]] * (most_scenes - len(start_s)))
        return {
            "pixel_values_videos": torch.cat(patches),
            "video_grid_thw": torch.tensor(grids),
            "scene_start_s": torch.tensor(starts, dtype=torch.float64),
        }

    def text_inputs(self, texts: Sequence[str], clips: Sequence[ClipInput]) -> dict[str, Tensor]:
        """input_ids, attention_mask and mm_token_type_ids; see :meth:`__call__`."""
        for text in texts:
            if text.count(VIDEO_PAD) != 1:
                raise ValueError(
                    f"a text has {text.count(VIDEO_PAD)} {VIDEO_PAD}; expected one: {text[:80]!r}"
                )
        expanded = [
            text.replace(VIDEO_PAD, VIDEO_PAD * self.n_visual_tokens(clip))
            for text, clip in zip(texts, clips, strict=True)
        ]
        encoded = self.tokenizer(expanded, padding=True, padding_side="left", return_tensors="pt")
        visual = encoded["input_ids"] == self.video_token_id
        return {
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
            "mm_token_type_ids": torch.where(visual, VIDEO_TYPE, TEXT_TYPE),
        }

    def n_visual_tokens(self, clip: ClipInput) -> int:
        """Visual tokens of a clip: scenes times tokens of a frame."""
        height, width = clip.scenes[0].frames.shape[1:3]
        return len(clip.scenes) * height * width // (self.patch_size * self.merge_size) ** 2

    def _patches(self, virtual_KVHWC: Tensor) -> Tensor:
        """Patches [N, 3 * V * P * P] in Qwen2-VL's order: token by token, M x M patches each."""
        n_scenes, n_virtual, height, width, channels = virtual_KVHWC.shape
        factor = self.patch_size * self.merge_size
        if height % factor or width % factor:
            raise ValueError(
                f"frames are {width} x {height} px; expected multiples of {factor}, such as "
                f"{self.spec.frame_size(height, width)[::-1]}"
            )
        mean, std = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
        pixels = (virtual_KVHWC.float() / 255 - mean) / std
        rows, columns = height // factor, width // factor
        side, merge = self.patch_size, self.merge_size
        pixels = pixels.reshape(
            n_scenes, n_virtual, rows, merge, side, columns, merge, side, channels
        )
        # K, rows, columns, merge rows, merge columns, channels, V, patch rows, patch columns
        pixels = pixels.permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
        return pixels.reshape(-1, channels * n_virtual * side * side)


def resize_frames(frames_THWC: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames at another (height, width), bicubic with antialiasing as Qwen2-VL's processor."""
    if frames_THWC.shape[1:3] == size:
        return frames_THWC
    frames = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2)
    scaled = functional.interpolate(frames, size=size, mode="bicubic", antialias=True)
    return scaled.permute(0, 2, 3, 1).contiguous().numpy()


AutoProcessor.register(FlexiVideoConfig, FlexiVideoProcessor)
