"""FlexiVideo's configuration: Qwen2.5-VL's, and what the method adds to it.

No ``from __future__ import annotations`` here: transformers makes dataclasses of these classes and
checks the types at run time.
"""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLVisionConfig,
)

from flexivideo.temporal_kernel import check_mode
from flexivideo.virtual_frames import n_virtual_frames
from flexivideo.visual_spec import check_rates

__all__ = [
    "FlexiVideoConfig",
    "FlexiVideoTextConfig",
    "FlexiVideoVisionConfig",
    "check_dimensions",
]

TEXT_POSITIONS = ("all_axes", "spatial")


@strict
class FlexiVideoVisionConfig(Qwen2_5_VLVisionConfig):
    """Qwen2.5-VL's vision tower; ``temporal_patch_size`` is the number of virtual frames."""

    model_type = "flexivideo_vision"


@strict
class FlexiVideoTextConfig(Qwen2_5_VLTextConfig):
    """Qwen2.5-VL's language model."""

    model_type = "flexivideo_text"


@strict
class FlexiVideoConfig(Qwen2_5_VLConfig):
    """Qwen2.5-VL with one temporal kernel for scenes of every length.

    Attributes:
        temporal_resample: how the kernel meets a scene's length: "tei", "pi" or "pi_const".
        t_init: taps of the expanded kernel (the paper: 6); "tei" expands at the scene's own length.
        tau: ATS threshold the weights were trained with (the paper: 0.2).
        sample_fps: sampled frames a second the weights were trained with.
        text_position: where the text after a video begins in MRoPE: "all_axes", after the maximum
            over all three axes, or "spatial", after the spatial maximum as transformers 5.23 does.
        caption_prompt: the prompt the weights were trained with; None: any will do.
    """

    model_type = "flexivideo"
    sub_configs_defaults = {  # noqa: RUF012 - the parent class reads a plain dictionary
        "vision_config": FlexiVideoVisionConfig,
        "text_config": FlexiVideoTextConfig,
    }

    temporal_resample: str = "tei"
    t_init: int = 6
    tau: float | int = 0.2
    sample_fps: float | int = 2.0
    text_position: str = "all_axes"
    caption_prompt: str | None = None

    def __post_init__(self, **kwargs):
        """Fill in the parts, then refuse what cannot work together."""
        super().__post_init__(**kwargs)
        check_mode(self.temporal_resample)
        if self.text_position not in TEXT_POSITIONS:
            raise ValueError(
                f"text_position is {self.text_position!r}; expected {' or '.join(TEXT_POSITIONS)}"
            )
        check_rates(tau=self.tau, sample_fps=self.sample_fps)
        self.tau, self.sample_fps = float(self.tau), float(self.sample_fps)
        taps = self.vision_config.temporal_patch_size
        expected = n_virtual_frames(mode=self.temporal_resample, t_init=self.t_init)
        if taps != expected:
            raise ValueError(
                f"vision_config.temporal_patch_size is {taps}; expected {expected} for "
                f"temporal_resample {self.temporal_resample!r} with t_init {self.t_init}"
            )


def check_dimensions(config: FlexiVideoConfig) -> None:
    """See that a checkpoint's two parts fit each other, and their heads into their widths.

    Not asked of every configuration: the default one of Qwen2.5-VL's does not.

    Raises:
        ValueError: naming the first number that does not fit.
    """
    _check_vision(config.vision_config, config.text_config.hidden_size)
    _check_text(config.text_config)


def _check_vision(vision: Qwen2_5_VLVisionConfig, text_width: int) -> None:
    for name in ("num_heads", "patch_size", "spatial_merge_size", "temporal_patch_size"):
        if getattr(vision, name) < 1:
            raise ValueError(f"vision_config.{name} is {getattr(vision, name)}; expected 1 or more")
    # Rows and columns turn half of a head each, in pairs.
    if vision.hidden_size % (4 * vision.num_heads):
        raise ValueError(
            f"vision_config.num_heads is {vision.num_heads} and hidden_size {vision.hidden_size}; "
            f"expected heads whose width is a multiple of 4"
        )
    token_side = vision.patch_size * vision.spatial_merge_size
    if vision.window_size < token_side:
        raise ValueError(
            f"vision_config.window_size is {vision.window_size}; expected at least a token's "
            f"{token_side} pixels"
        )
    if vision.out_hidden_size != text_width:
        raise ValueError(
            f"vision_config.out_hidden_size is {vision.out_hidden_size}; expected the language "
            f"model's hidden_size, {text_width}"
        )


def _check_text(text: Qwen2_5_VLTextConfig) -> None:
    heads, kv_heads, width = text.num_attention_heads, text.num_key_value_heads, text.hidden_size
    if heads < 1 or kv_heads < 1 or width % (2 * heads) or heads % kv_heads:
        raise ValueError(
            f"num_attention_heads is {heads}, num_key_value_heads {kv_heads} and hidden_size "
            f"{width}; expected heads of one even width, as many to each key's head"
        )
    sections = (text.rope_parameters or {}).get("mrope_section") or []
    if len(sections) != 3 or 2 * sum(sections) != width // heads:
        raise ValueError(
            f"mrope_section is {sections}; expected three numbers that add up to {width // heads} "
            f"/ 2, half of a head's width: time, height, width"
        )
    if text.pad_token_id is not None and not 0 <= text.pad_token_id < text.vocab_size:
        raise ValueError(
            f"pad_token_id is {text.pad_token_id}; expected a token of the vocabulary, below "
            f"vocab_size {text.vocab_size}"
        )


AutoConfig.register("flexivideo", FlexiVideoConfig)
AutoConfig.register("flexivideo_vision", FlexiVideoVisionConfig)
AutoConfig.register("flexivideo_text", FlexiVideoTextConfig)
