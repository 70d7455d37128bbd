"""What the model is asked."""

from flexivideo.visual_spec import VisualSpec

__all__ = ["CAPTION_PROMPT", "EMBEDDING_PROMPT", "TEXT_EMBEDDING_PROMPT", "caption_prompt"]

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
