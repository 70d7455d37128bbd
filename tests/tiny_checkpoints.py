"""Very small checkpoints with random weights, stock Qwen2.5-VL and ours, made anew by each session.

They have the real architecture, the real special tokens and a chat template of the real form, so
that what holds for them is the code's doing and not a model's.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.scene_patches import ClipInput

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

HEAD_WIDTH = 16
VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "out_hidden_size": 32,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "tokens_per_second": 2,
    "window_size": 56,
    "fullatt_block_indexes": [1],
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1000.0,
        "mrope_section": [2, 3, 3],
    },
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and Qwen's special tokens: any text can be encoded."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevel()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


def tiny_processor(**more: object) -> FlexiVideoProcessor:
    """The processor of that tokenizer, for small frames."""
    options = {"max_pixels": 84 * 84, "chat_template": CHAT_TEMPLATE} | more
    return FlexiVideoProcessor(tiny_tokenizer(), **options)


def noise_clips(
    processor: FlexiVideoProcessor, rng: np.random.Generator, lengths: Iterable[int]
) -> list[ClipInput]:
    """Clips of so many frames of noise, each of which is a scene."""
    return [
        processor.segment(rng.integers(0, 256, (n, 60, 90, 3)).astype(np.uint8), fps=2.0)
        for n in lengths
    ]


def tiny_config(config_class: type[Qwen2_5_VLConfig], **more: object) -> Qwen2_5_VLConfig:
    """Configuration of either architecture, with the tokenizer's ids."""
    tokenizer = tiny_tokenizer()
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    vision = VISION | more.pop("vision_config", {})  # type: ignore[operator]
    text = TEXT | more.pop("text_config", {})  # type: ignore[operator]
    return config_class(
        vision_config=vision,
        text_config=text
        | {
            "vocab_size": len(tokenizer),
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        **more,
    )


def save_stock(folder: Path, seed: int = 0, **more: object) -> Path:
    """A stock Qwen2.5-VL checkpoint."""
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(tiny_config(Qwen2_5_VLConfig, **more)).eval()
    _lively(model)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def reshard(folder: Path, n_shards: int) -> None:
    """Spread a checkpoint's tensors over several files with an index, as published ones are."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    placed = {}
    for number in range(n_shards):
        shard = f"model-{number + 1:05d}-of-{n_shards:05d}.safetensors"
        names = sorted(tensors)[number::n_shards]
        save_file({name: tensors[name] for name in names}, folder / shard, {"format": "pt"})
        placed |= dict.fromkeys(names, shard)
    index = {"metadata": {"total_size": 0}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def tiny_flexivideo(seed: int = 0, **more: object) -> FlexiVideoForConditionalGeneration:
    """Our model with random weights."""
    torch.manual_seed(seed)
    model = FlexiVideoForConditionalGeneration(tiny_config(FlexiVideoConfig, **more)).eval()
    _lively(model)
    return model


def _lively(model: torch.nn.Module) -> None:
    """Larger weights than the usual 0.02, so that different inputs give different outputs."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.5 / parameter[0].numel() ** 0.5)
