"""Clips and texts to what the model takes: patches, grids, times, and text with placeholders.

Shapes: T raw frames, V virtual frames of a scene, H, W pixels, 3 RGB, P patch side, K scenes of a
clip, N patches, B batch, L tokens of a sequence.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoProcessor, BatchFeature, ProcessorMixin

from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.scene_patches import (
    ClipInput,
    SceneInput,
    clip_patches,
    resize_frames,
    still_clip,
)
from flexivideo.segmentation import segment
from flexivideo.visual_spec import VisualSpec, check_rates

__all__ = ["FlexiVideoProcessor"]

VISION_START, VIDEO_PAD, VISION_END = "<|vision_start|>", "<|video_pad|>", "<|vision_end|>"
TEXT_TYPE, VIDEO_TYPE = 0, 2


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
        check_rates(tau=tau, sample_fps=sample_fps)
        self.tau, self.sample_fps = tau, sample_fps
        self.caption_prompt = caption_prompt
        for token in (VIDEO_PAD, VISION_START, VISION_END):
            if tokenizer.convert_tokens_to_ids(token) in (None, tokenizer.unk_token_id):
                raise ValueError(
                    f"the tokenizer has no {token} token; expected Qwen2.5-VL's special tokens"
                )
        self.video_token_id = tokenizer.convert_tokens_to_ids(VIDEO_PAD)

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
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """A batch of one visual a text.

        Args:
            text: B texts, each with one ``<|video_pad|>``, such as :meth:`prompt` makes; a single
                text serves all visuals.
            videos: B arrays uint8 [T,H,W,3], segmented by ATS at this checkpoint's tau.
            images: B arrays uint8 [H,W,3], each a scene of repeated frames, instead.
            fps: rate of the videos' frames; default: the checkpoint's.
            clips: B clips already segmented, instead.
            return_tensors: "pt", the only kind.

        Returns:
            input_ids, attention_mask, mm_token_type_ids [B, L], padded on the left;
            pixel_values_videos [N, 3 * V * P * P] float32; video_grid_thw [B, 3]; scene_start_s
            [B, K] float64, padded with the last start.

        Raises:
            ValueError: if the counts differ, visuals of several kinds come, frames are not uint8 or
                not finite, or a text has not exactly one placeholder.
        """
        given = [kind for kind in (videos, images, clips) if kind is not None]
        if len(given) != 1 or return_tensors != "pt":
            raise ValueError(
                f"{len(given)} kinds of visuals came and return_tensors is {return_tensors!r}; "
                f"expected one of videos, images and clips, and 'pt'"
            )
        if images is not None:
            visuals = [still_clip(image, self.spec) for image in images]
        elif videos is not None:
            rate = self.sample_fps if fps is None else fps
            visuals = [self.segment(video, fps=rate) for video in videos]
        else:
            visuals = list(clips or [])
        texts = [text] * len(visuals) if isinstance(text, str) else list(text or [])
        if len(texts) != len(visuals) or not visuals:
            raise ValueError(
                f"{len(texts)} texts came with {len(visuals)} visuals; expected one visual a text"
            )
        vision = self.vision_inputs(visuals)
        if not torch.isfinite(vision["pixel_values_videos"]).all():
            raise ValueError("virtual frames hold NaN or infinity; expected finite grey levels")
        return BatchFeature({**vision, **self.text_inputs(texts, visuals)})

    def prompt(self, question: str) -> str:
        """Text of one user turn about one clip, ready for the answer."""
        content = [{"type": "video"}, {"type": "text", "text": question}]
        return self.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    def segment(self, frames_THWC: NDArray[np.uint8], *, fps: float) -> ClipInput:
        """One clip of the frames, uint8 [T,H,W,3], cut by ATS and scaled to the model's size."""
        if not isinstance(frames_THWC, np.ndarray):
            raise ValueError(
                f"a video is a {type(frames_THWC).__name__}; expected one array of frames of one "
                f"size, uint8 (frames, height, width, 3)"
            )
        if frames_THWC.ndim != 4 or not len(frames_THWC):
            raise ValueError(
                f"frames have the shape {frames_THWC.shape}; expected (frames, height, width, 3), "
                f"at least one frame"
            )
        check_rates(tau=self.tau, sample_fps=fps)
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
        grids, starts = [], []
        for clip in clips:
            height, width = clip.scenes[0].frames.shape[1:3]
            sides = height // self.patch_size, width // self.patch_size
            grids.append([len(clip.scenes), *sides])
            start_s = [scene.start_s for scene in clip.scenes]
            starts.append(start_s + [start_s[-1]] * (most_scenes - len(start_s)))
        return {
            "pixel_values_videos": clip_patches(clips, self.spec),
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
        # Each text once, whose placeholder is then repeated: clips of a batch share their question.
        tokens_of = {text: self.tokenizer(text)["input_ids"] for text in set(texts)}
        rows = []
        for text, clip in zip(texts, clips, strict=True):
            tokens = tokens_of[text]
            place = tokens.index(self.video_token_id)
            placeholders = [self.video_token_id] * self.n_visual_tokens(clip)
            rows.append([*tokens[:place], *placeholders, *tokens[place + 1 :]])
        encoded = self.tokenizer.pad(
            {"input_ids": rows}, padding=True, padding_side="left", return_tensors="pt"
        )
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


AutoProcessor.register(FlexiVideoConfig, FlexiVideoProcessor)
