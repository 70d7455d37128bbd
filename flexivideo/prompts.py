"""What the model is asked."""

from transformers import PreTrainedTokenizerBase

from flexivideo.errors import SettingsError
from flexivideo.visual_spec import VisualSpec

__all__ = [
    "CAPTION_PROMPT",
    "EMBEDDING_PROMPT",
    "TEXT_EMBEDDING_PROMPT",
    "caption_prompt",
    "count_text_tokens",
]

CAPTION_PROMPT = (
    "Describe this video clip in one or two sentences: who or what is seen, what happens, "
    "where, and how the camera moves."
)

# One word gathers the meaning in the last position's hidden state, in one space for clip and text.
EMBEDDING_PROMPT = "Summarize this video clip in one word:"
TEXT_EMBEDDING_PROMPT = "{text}\nSummarize this sentence in one word:"


def caption_prompt(model: str | None) -> str:
    """The prompt a checkpoint was trained with, or the general one.

    Args:
        model: a folder, a hub name, or None for the embedded checkpoint.
    """
    return VisualSpec.from_pretrained(model).caption_prompt or CAPTION_PROMPT


def count_text_tokens(
    tokenizer: PreTrainedTokenizerBase, question: str, *, max_new_tokens: int, context: int
) -> int:
    """Tokens of a whole question and of its longest answer.

    Raises:
        SettingsError: if there can be no answer, or the two fill the model's context.
    """
    n_question = len(tokenizer(question)["input_ids"])
    if max_new_tokens < 1 or n_question + max_new_tokens >= context:
        raise SettingsError(
            f"the prompt takes {n_question} tokens and the caption up to {max_new_tokens} "
            f"(max_new_tokens); expected at least one, and fewer than the model's {context} "
            f"together, so that a clip has room beside them"
        )
    return n_question + max_new_tokens
