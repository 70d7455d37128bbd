"""Model and processor from a checkpoint: ours, or a stock Qwen2.5-VL, in any precision."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, GenerationConfig
from transformers.utils import is_flash_attn_2_available

from flexivideo.checkpoint_json import read_json
from flexivideo.checkpoint_tensors import check_tensors, list_tensors
from flexivideo.configuration_flexivideo import FlexiVideoConfig, check_dimensions
from flexivideo.errors import ModelError
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.prompts import count_text_tokens
from flexivideo.temporal_kernel import expand_kernel
from flexivideo.tokenizer_checks import check_prompt, check_template, check_vocabulary
from flexivideo.visual_spec import OURS, VisualSpec, checkpoint_folder

__all__ = [
    "check_checkpoint",
    "config_as_saved",
    "expand_patch_embedding",
    "load_model",
    "load_processor",
]

GENERATION = "generation_config.json"

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    model: str | None,
    *,
    dtype: str = "float32",
    device: str | None = None,
    attention: str | None = None,
    temporal_resample: str | None = None,
) -> FlexiVideoForConditionalGeneration:
    """A checkpoint's model, ready for inference.

    Args:
        model: a folder, a hub name, or None for the embedded checkpoint.
        dtype: "float32", "bfloat16" or "float16".
        device: default: the first GPU, or the CPU.
        attention: default: "flash_attention_2" where it is installed and fits, else "sdpa".
        temporal_resample: instead of the checkpoint's mode (a stock Qwen2.5-VL: "tei").

    Raises:
        ModelError: if the files are no such checkpoint, are broken, or lack a tensor.
    """
    folder = checkpoint_folder(model)
    if dtype not in DTYPES:
        raise ModelError(f"dtype is {dtype!r}; expected {', '.join(DTYPES)}")
    spec = VisualSpec.from_pretrained(model, temporal_resample=temporal_resample)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    config = config_as_saved(folder)
    check_tensors(list_tensors(folder), config)
    try:
        loaded, report = FlexiVideoForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            dtype=DTYPES[dtype],
            attn_implementation=attention or _attention(device, dtype),
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(f"{folder} cannot be loaded: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(f"{folder} lacks {len(missing)} tensors, the first {missing[0]}")
    if spec.temporal_resample != loaded.config.temporal_resample:
        if loaded.config.temporal_resample == "tei":
            try:
                expand_patch_embedding(loaded, t_init=spec.t_init, mode=spec.temporal_resample)
            except ValueError as error:
                raise ModelError(f"{folder} cannot be expanded: {error}") from error
        loaded.config.temporal_resample = spec.temporal_resample
    return loaded.to(device).eval()


def check_checkpoint(
    model: str | None,
    *,
    prompt: str = "",
    max_new_tokens: int = 1,
    max_pixels: int | None = None,
) -> None:
    """See by its files' headers that a checkpoint can be loaded and asked, without loading it.

    Args:
        model: which checkpoint.
        prompt: what it will be asked of each clip.
        max_new_tokens: longest answer.
        max_pixels: of a frame, instead of the checkpoint's.

    Raises:
        ModelError: if it cannot be loaded.
        SettingsError: if the prompt holds a token of the model's own, it and the answer leave no
            room for a clip, or max_pixels none for a token.
    """
    folder = checkpoint_folder(model)
    VisualSpec.from_pretrained(model)  # refuses another architecture
    config = config_as_saved(folder)
    check_tensors(list_tensors(folder), config)
    processor = load_processor(model, max_pixels=max_pixels)
    check_prompt(processor.tokenizer, prompt)
    context, question = config.text_config.max_position_embeddings, processor.prompt(prompt)
    count_text_tokens(processor.tokenizer, question, max_new_tokens=max_new_tokens, context=context)


def load_processor(
    model: str | None,
    *,
    temporal_resample: str | None = None,
    max_pixels: int | None = None,
) -> FlexiVideoProcessor:
    """A checkpoint's processor, also for a stock Qwen2.5-VL, whose own is not needed.

    Raises:
        ModelError: if the tokenizer cannot be loaded, lacks the video tokens, has others than the
            model, or has no chat template that places one clip.
    """
    spec = VisualSpec.from_pretrained(
        model, temporal_resample=temporal_resample, max_pixels=max_pixels
    )
    folder = checkpoint_folder(model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if tokenizer.chat_template is None and (folder / "chat_template.json").is_file():
            tokenizer.chat_template = read_json(folder / "chat_template.json")["chat_template"]
        processor = FlexiVideoProcessor.from_spec(tokenizer, spec)
        check_vocabulary(tokenizer, config_as_saved(folder))
        check_template(processor)
        return processor
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the tokenizer of {folder} cannot be used: {error}") from error


def expand_patch_embedding(
    model: FlexiVideoForConditionalGeneration, *, t_init: int, mode: str
) -> None:
    """Temporal expansion initialisation in place: a two-tap patch embedding gets ``t_init`` taps.

    Source: the paper's "Temporal Expansion Initialization"; see ``temporal_kernel.expand_kernel``.
    """
    embed = model.model.visual.patch_embed
    old = embed.proj.weight
    expanded = torch.from_numpy(expand_kernel(old.detach().double().cpu().numpy(), t_init))
    kernel_size = (t_init, old.shape[3], old.shape[4])
    embed.proj = torch.nn.Conv3d(
        embed.in_channels,
        embed.embed_dim,
        kernel_size=kernel_size,
        stride=kernel_size,
        bias=False,
    )
    embed.proj.weight = torch.nn.Parameter(expanded.to(old).contiguous())
    embed.temporal_patch_size = t_init
    model.config.vision_config.temporal_patch_size = t_init
    model.config.t_init, model.config.temporal_resample = t_init, mode


def config_as_saved(folder: Path) -> FlexiVideoConfig:
    """Our configuration of a checkpoint; a stock one becomes training-free "tei".

    Raises:
        ModelError: if it is of another architecture, lacks a part, or cannot work.
    """
    document = read_json(folder / "config.json")
    if not isinstance(document.get("vision_config"), dict):
        raise ModelError(
            f"{folder / 'config.json'} has no vision_config; expected Qwen2.5-VL's vision part "
            f"beside its language model"
        )
    if document.pop("model_type") != OURS:
        for part in ("vision_config", "text_config"):
            if isinstance(document.get(part), dict):
                document[part].pop("model_type", None)
        document.pop("architectures", None)
    try:
        config = FlexiVideoConfig(**document)
        check_dimensions(config)
    except Exception as error:  # transformers looks at hardly a value before it counts with it
        raise ModelError(f"{folder / 'config.json'} cannot be used: {error}") from error
    _check_generation(folder / GENERATION)
    return config


def _check_generation(path: Path) -> None:
    """See that the generation settings, if there are any, are some: else none would be used."""
    if not path.is_file():
        return
    try:
        GenerationConfig(**read_json(path))
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} cannot be used: {error}") from error


def _attention(device: str, dtype: str) -> str:
    """flash-attn takes half precision on a GPU only."""
    fits = device.startswith("cuda") and dtype != "float32"
    return "flash_attention_2" if fits and is_flash_attn_2_available() else "sdpa"
