"""What the embedded checkpoint is before it has learned anything: tokenizer, frames, layers."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.plain_world.words import caption_of, every_words
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.prompts import EMBEDDING_PROMPT, TEXT_EMBEDDING_PROMPT
from jobs.motion_energy import begin_with_motion_energy

__all__ = ["make_model", "make_processor"]

PROMPT = "Describe this clip."

# Twice the rate and more tolerance make as many tokens of real footage as 2 fps at tau 0.2, but
# longer scenes: within a scene it can be seen which way things move.
SAMPLE_FPS = 4.0
TAU = 0.5

# "tei" sees no direction in a scene of an odd length; six taps do.
TEMPORAL_RESAMPLE, T_INIT = "pi_const", 6
MIN_PIXELS, MAX_PIXELS = 56 * 56, 84 * 84

WIDTH = 128
VOCABULARY_SIZE = 640
CONTEXT_TOKENS = 16384

# Few positions are in use, so the slowest rotation is fast enough to tell them apart.
ROPE_THETA = 30.0

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
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


def make_processor() -> FlexiVideoProcessor:
    """Byte-level tokenizer, so that no prompt is ever unknown, with one token a caption's word."""
    prompts = [PROMPT, EMBEDDING_PROMPT, TEXT_EMBEDDING_PROMPT, "user\n", "assistant\n", "system\n"]
    said = [caption_of((words, words)) for words in every_words()]  # first, and after a cut
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*said, *prompts], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )
    return FlexiVideoProcessor(
        fast,
        temporal_resample=TEMPORAL_RESAMPLE,
        t_init=T_INIT,
        min_pixels=MIN_PIXELS,
        max_pixels=MAX_PIXELS,
        tau=TAU,
        sample_fps=SAMPLE_FPS,
        caption_prompt=PROMPT,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(
    processor: FlexiVideoProcessor, *, seed: int, vision_layers: int = 2, text_layers: int = 4
) -> FlexiVideoForConditionalGeneration:
    """The architecture made small, with fan-in initialisation."""
    ids = processor.tokenizer.convert_tokens_to_ids
    torch.manual_seed(seed)
    config = FlexiVideoConfig(
        vision_config={
            "depth": vision_layers,
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_heads": 4,
            "out_hidden_size": WIDTH,
            "patch_size": processor.patch_size,
            "spatial_merge_size": processor.merge_size,
            "temporal_patch_size": processor.spec.n_virtual_frames,
            "tokens_per_second": int(processor.sample_fps),
            "window_size": 112,
            "fullatt_block_indexes": list(range(vision_layers)),
        },
        text_config={
            "vocab_size": len(processor.tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 3 * WIDTH,
            "num_hidden_layers": text_layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": CONTEXT_TOKENS,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": ROPE_THETA,
                "mrope_section": [8, 4, 4],
            },
            "bos_token_id": ids("<|endoftext|>"),
            "eos_token_id": ids("<|im_end|>"),
            "pad_token_id": ids("<|endoftext|>"),
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=True,
        temporal_resample=processor.temporal_resample,
        t_init=processor.t_init,
        tau=processor.tau,
        sample_fps=processor.sample_fps,
        caption_prompt=processor.caption_prompt,
    )
    model = FlexiVideoForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
        model.get_input_embeddings().weight.normal_(0, 0.1)
    begin_with_motion_energy(model.model.visual)
    return model
