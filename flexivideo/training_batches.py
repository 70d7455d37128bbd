"""Examples into batches with labels, and the order in which they are seen.

The examples of a step depend on the seed and the step alone: not on how many workers share them nor
on where a run was interrupted.

Shapes: B batch, L tokens of a sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BatchFeature

from flexivideo.processing_flexivideo import VIDEO_PAD, FlexiVideoProcessor
from flexivideo.prompts import EMBEDDING_PROMPT
from flexivideo.scene_patches import ClipInput

__all__ = [
    "IGNORED",
    "TrainingExample",
    "caption_batch",
    "clip_vector_inputs",
    "make_example",
    "step_examples",
]

# Label of a position on which no loss is taken.
IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class TrainingExample:
    """A clip and what is said of it, tokenised.

    Attributes:
        clip: the clip.
        text: the whole conversation, one placeholder for the clip.
        caption: the last answer alone.
        labels: [L], the token where it is learned, ``IGNORED`` elsewhere.
    """

    clip: ClipInput
    text: str
    caption: str
    labels: Tensor

    @property
    def n_tokens(self) -> int:
        """Length of the conversation with its visual tokens, L."""
        return len(self.labels)


def step_examples(step: int, *, n_examples: int, n_step: int, seed: int) -> NDArray[np.int64]:
    """Which examples a step sees, int64 [n_step]: permutations of all, one after another.

    Args:
        step: 0, 1, ...
        n_examples: how many there are.
        n_step: how many a step takes: the global batch.
        seed: of the permutations.
    """
    places = np.arange(step * n_step, (step + 1) * n_step)
    epochs, indices = np.divmod(places, n_examples)
    chosen = np.empty(n_step, np.int64)
    for epoch in np.unique(epochs):
        order = np.random.default_rng([seed, int(epoch)]).permutation(n_examples)
        chosen[epochs == epoch] = order[indices[epochs == epoch]]
    return chosen


def make_example(
    processor: FlexiVideoProcessor, clip: ClipInput, turns: Sequence[tuple[str, str]]
) -> TrainingExample:
    """An example; learned are the answers and the tokens that end them.

    Args:
        processor: the checkpoint's.
        clip: the clip, which stands before the first question.
        turns: pairs of a question and its answer.

    Raises:
        ValueError: if a text names one of the tokenizer's special tokens, or the chat template
            changes what stands before an answer once there is an answer.
    """
    special = processor.tokenizer.get_added_vocab()
    named = [token for token in special for pair in turns for text in pair if token in text]
    if named:
        raise ValueError(f"a text names the special token {named[0]}; expected plain text")
    end, text, spans = processor.tokenizer.eos_token, "", []
    messages: list[dict[str, object]] = []
    for question, answer in turns:
        visual = [] if messages else [{"type": "video"}]
        content = [*visual, {"type": "text", "text": question}]
        messages.append({"role": "user", "content": content})
        before = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        if not before.startswith(text):
            raise ValueError(f"the chat template rewrites a conversation as it grows: {before!r}")
        spans.append((len(before), len(before) + len(answer) + len(end)))
        text = before + answer + end
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    labels = _labels(processor, text, spans, n_visual_tokens=processor.n_visual_tokens(clip))
    return TrainingExample(clip=clip, text=text, caption=turns[-1][1], labels=labels)


def caption_batch(
    processor: FlexiVideoProcessor, examples: Sequence[TrainingExample]
) -> BatchFeature:
    """What the processor gives for the conversations, and labels [B, L]."""
    batch = processor(
        text=[example.text for example in examples], clips=[example.clip for example in examples]
    )
    batch["labels"] = torch.full_like(batch["input_ids"], IGNORED)
    for row, example in enumerate(examples):
        batch["labels"][row, -example.n_tokens :] = example.labels
    return batch


def clip_vector_inputs(
    processor: FlexiVideoProcessor, clips: Sequence[ClipInput]
) -> dict[str, Tensor]:
    """Token inputs of the prompt whose last position is the clip's vector; pixels left out."""
    return processor.text_inputs([processor.prompt(EMBEDDING_PROMPT)] * len(clips), clips)


def _labels(
    processor: FlexiVideoProcessor,
    text: str,
    spans: Sequence[tuple[int, int]],
    *,
    n_visual_tokens: int,
) -> Tensor:
    """Labels [L] of the tokens that begin within spans of the text."""
    encoded = processor.tokenizer(
        text.replace(VIDEO_PAD, VIDEO_PAD * n_visual_tokens), return_offsets_mapping=True
    )
    # The placeholder stands before every answer, so all of them move by what it grew.
    grown = (n_visual_tokens - 1) * len(VIDEO_PAD)
    starts = np.array([start for start, _ in encoded["offset_mapping"]]) - grown
    learned = np.zeros(len(starts), bool)
    for begin, finish in spans:
        learned |= (starts >= begin) & (starts < finish)
    return torch.where(torch.from_numpy(learned), torch.tensor(encoded["input_ids"]), IGNORED)
