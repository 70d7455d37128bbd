"""FlexiVideo: Qwen2.5-VL that encodes a scene of any length as one window.

Only what differs from Qwen2.5-VL is written here, and that is little: since the processor hands
over virtual frames (``flexivideo.virtual_frames``), the patch embedding, the vision tower and the
connector are stock, a clip of K scenes is a video of K temporal patches, and attention in the
vision tower never crosses a scene. What is ours is where the scenes stand in time
(``flexivideo.position_ids``).
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText
from transformers.cache_utils import Cache
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLModel,
    Qwen2_5_VLTextModel,
)

from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.position_ids import rope_index
from flexivideo.scene_vision import SceneVisionTransformer

__all__ = ["FlexiVideoForConditionalGeneration", "FlexiVideoModel"]


class FlexiVideoModel(Qwen2_5_VLModel):
    """Vision tower, connector and language model, with window-true MRoPE."""

    config: FlexiVideoConfig

    def __init__(self, config: FlexiVideoConfig) -> None:
        # Past Qwen2_5_VLModel's own __init__: it would build the same parts a second time.
        super(Qwen2_5_VLModel, self).__init__(config)
        self.visual = SceneVisionTransformer._from_config(config.vision_config)
        self.language_model = Qwen2_5_VLTextModel._from_config(config.text_config)
        self.rope_deltas = None
        self.post_init()

    def forward(self, *args: Any, scene_start_s: Tensor | None = None, **kwargs: Any) -> Any:
        """Hidden states [B, L, D]; arguments as in :class:`FlexiVideoForConditionalGeneration`."""
        # The parent hands this one argument of time on to get_rope_index, and knows no other.
        return super().forward(*args, **kwargs | {"second_per_grid_ts": scene_start_s})

    def get_rope_index(
        self,
        input_ids: Tensor,
        mm_token_type_ids: Tensor,
        image_grid_thw: Tensor | None = None,
        video_grid_thw: Tensor | None = None,
        second_per_grid_ts: Tensor | None = None,
        attention_mask: Tensor | None = None,
        scene_start_s: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, Tensor]:
        """Positions of a batch; see :func:`flexivideo.position_ids.rope_index`.

        The start times come as ``scene_start_s`` from generation and as ``second_per_grid_ts`` by
        way of :meth:`forward`.
        """
        return rope_index(
            mm_token_type_ids,
            attention_mask,
            video_grid_thw=video_grid_thw,
            scene_start_s=second_per_grid_ts if scene_start_s is None else scene_start_s,
            image_grid_thw=image_grid_thw,
            merge_size=self.config.vision_config.spatial_merge_size,
            tokens_per_second=self.config.vision_config.tokens_per_second,
            text_position=self.config.text_position,
        )


class FlexiVideoForConditionalGeneration(Qwen2_5_VLForConditionalGeneration):
    """FlexiVideo with a language-model head: captions clips of scenes."""

    config: FlexiVideoConfig

    def __init__(self, config: FlexiVideoConfig) -> None:
        # Past Qwen2_5_VLForConditionalGeneration's own __init__, as above.
        super(Qwen2_5_VLForConditionalGeneration, self).__init__(config)
        self.model = FlexiVideoModel(config)
        self.lm_head = torch.nn.Linear(
            config.text_config.hidden_size, config.text_config.vocab_size, bias=False
        )
        self.post_init()

    # The arguments stand one by one because generation looks them up by name.
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        pixel_values: Tensor | None = None,
        pixel_values_videos: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        video_grid_thw: Tensor | None = None,
        mm_token_type_ids: Tensor | None = None,
        scene_start_s: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Logits of a batch as ``FlexiVideoProcessor`` makes it, and the loss for labels.

        Args:
            input_ids: [B, L].
            attention_mask: [B, L].
            position_ids: [3 or 4, B, L]; None: computed from the rest.
            past_key_values: cache of the tokens before.
            inputs_embeds: [B, L, D] instead of ``input_ids``.
            labels: [B, L], -100 where no loss is taken.
            use_cache: keep keys and values.
            pixel_values: image patches [N, C * T * P * P].
            pixel_values_videos: patches of the scenes' virtual frames [N, C * V * P * P].
            image_grid_thw: [n_images, 3].
            video_grid_thw: [n_videos, 3]: scenes, rows and columns of patches.
            mm_token_type_ids: [B, L], 0 text, 1 image, 2 video.
            scene_start_s: [n_videos, K] float64, seconds, padded on the right.
            logits_to_keep: how many last positions, or which, get logits.
            mm_encoder_outputs: vision outputs made before, instead of pixels.
            **kwargs: for the layers below.
        """
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            pixel_values=pixel_values,
            pixel_values_videos=pixel_values_videos,
            image_grid_thw=image_grid_thw,
            video_grid_thw=video_grid_thw,
            mm_token_type_ids=mm_token_type_ids,
            scene_start_s=scene_start_s,
            logits_to_keep=logits_to_keep,
            mm_encoder_outputs=mm_encoder_outputs,
            **kwargs,
        )

    def generate(self, inputs: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, which past the end of the context would only go on, and badly.

        Raises:
            ValueError: if what is read and the new tokens take more than the context.
        """
        read = kwargs.get("input_ids", inputs)
        config = kwargs.get("generation_config") or self.generation_config
        n_read = 0 if read is None else read.shape[1]
        n_new = kwargs.get("max_new_tokens", config.max_new_tokens) or 1
        context = self.config.text_config.max_position_embeddings
        if n_read + n_new > context:
            raise ValueError(
                f"{n_read} tokens came and up to {n_new} are to follow; expected at most the "
                f"model's context of {context} together: shorten the clip or the text, or lower "
                f"max_new_tokens"
            )
        return super().generate(inputs, *args, **kwargs)


def _register() -> None:
    """Let the Auto classes and the checkpoint loader know us.

    Checkpoints of Qwen2.5-VL name their tensors in an older way. Without the renaming of the parent
    classes the language model would silently be initialised anew on loading.
    """
    for ours, stock in (
        (FlexiVideoModel, Qwen2_5_VLModel),
        (FlexiVideoForConditionalGeneration, Qwen2_5_VLForConditionalGeneration),
    ):
        renaming = get_checkpoint_conversion_mapping(stock.__name__)
        if renaming is None:
            raise ImportError(
                f"transformers knows no checkpoint renaming for {stock.__name__}; expected one as "
                f"in transformers 5.23: install the pinned version"
            )
        register_checkpoint_conversion_mapping(ours.__name__, renaming, overwrite=True)
    AutoModelForImageTextToText.register(FlexiVideoConfig, FlexiVideoForConditionalGeneration)


_register()
