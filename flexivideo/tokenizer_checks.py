"""What a checkpoint's tokenizer must know for clips to be spoken of: the tokens and the template.

Said when the checkpoint is looked at, and not by the first clip.
"""

from transformers import PreTrainedTokenizerBase

from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.errors import SettingsError
from flexivideo.processing_flexivideo import (
    VIDEO_PAD,
    VISION_END,
    VISION_START,
    FlexiVideoProcessor,
)

__all__ = ["check_prompt", "check_template", "check_vocabulary"]


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: FlexiVideoConfig) -> None:
    """See that tokenizer and model mean the same by the tokens around a clip.

    Raises:
        ValueError: naming the first token that they do not share.
    """
    n_words = config.text_config.vocab_size
    asked = {VISION_START: config.vision_start_token_id, VIDEO_PAD: config.video_token_id}
    for token in (VISION_START, VIDEO_PAD, VISION_END):
        number = tokenizer.convert_tokens_to_ids(token)
        if number >= n_words:
            raise ValueError(
                f"its {token} is token {number}, and the model has {n_words}; expected the "
                f"tokenizer that the model was trained with"
            )
        if number != asked.get(token, number):
            raise ValueError(
                f"its {token} is token {number}, and the model's config.json says "
                f"{asked[token]}; expected the same"
            )


def check_template(processor: FlexiVideoProcessor) -> None:
    """See that the checkpoint's chat template makes a question about one clip.

    Raises:
        ValueError: if there is none, it fails, or it places no clip or several.
    """
    if processor.chat_template is None:
        raise ValueError(
            "it has no chat template; expected one in chat_template.jinja, chat_template.json or "
            "tokenizer_config.json: take over the file of the model that it was made from"
        )
    try:
        question = processor.prompt("")
    except Exception as error:  # a template is a program, and jinja's errors are of many kinds
        raise ValueError(
            f"its chat template fails ({type(error).__name__}: {error}); expected Qwen2.5-VL's"
        ) from error
    if question.count(VIDEO_PAD) != 1:
        raise ValueError(
            f"its chat template places {question.count(VIDEO_PAD)} {VIDEO_PAD} for a video; "
            f"expected one, as in Qwen2.5-VL's"
        )


def check_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> None:
    """See that a prompt is words alone, which no clip or turn could be mistaken for.

    Raises:
        SettingsError: naming the first of the model's own tokens that stands in it.
    """
    own = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    found = sorted(token for token in own | set(tokenizer.all_special_tokens) if token in prompt)
    if found:
        raise SettingsError(
            f"the prompt {prompt[:80]!r} holds {found[0]}, a token of the model's own; expected "
            f"words alone: the clip is placed before them without being named"
        )
