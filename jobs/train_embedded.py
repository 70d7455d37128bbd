"""Train the embedded checkpoint from nothing, on rendered shots alone.

    python -m jobs.train_embedded --out flexivideo/embedded

One thread trains, a second process renders; about fifteen minutes. It prints the accuracy on shots
that were rendered from another seed, which is what the model card reports.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.utils.data import DataLoader, IterableDataset
from transformers import BatchFeature, PreTrainedTokenizerFast

from flexivideo.captioning import CaptionEngine
from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.plain_words import ATTRIBUTES, Judgement, judge
from flexivideo.processing_flexivideo import ClipInput, FlexiVideoProcessor, SceneInput
from flexivideo.rendered_world import render, sample_shot
from flexivideo.segmentation import segment

__all__ = ["evaluate", "held_out_clips", "train"]

PROMPT = "Describe this clip."
SAMPLE_FPS = 2.0
TAU = 0.2

# ATS looks at larger frames than the model does, where the same movement differs by more; so the
# threshold is varied around its value in training.
TAU_RANGE = (0.08, 0.25)

MIN_PIXELS, MAX_PIXELS = 56 * 56, 84 * 84
FRAME_SIZES = ((56, 112), (56, 84), (84, 84), (84, 56), (112, 56))  # what smart_resize gives
MAX_FRAMES = 24
BATCH_CLIPS = 24
WARM_UP_SHARE = 0.05
MUON_LR, ADAMW_LR = 0.02, 2e-3
HELD_OUT_SEED = 1_000_003

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

Example = tuple[ClipInput, Judgement]


def train(out: Path, *, minutes: float = 14.0, seed: int = 0) -> None:
    """Train for so many minutes of wall time, save to ``out``, print the held-out accuracy."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    processor = make_processor()
    model = make_model(processor)
    loader = iter(DataLoader(RenderedBatches(processor, seed), batch_size=None, num_workers=1))
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimizers = [
        torch.optim.Muon(matrices, lr=MUON_LR, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=ADAMW_LR, weight_decay=0.0, betas=(0.9, 0.98)),
    ]
    peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    started, step, losses = time.monotonic(), 0, []
    while (share := (time.monotonic() - started) / (60 * minutes)) < 1:
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * min(share / WARM_UP_SHARE, 1.0) * (1 - share)
        loss = model(**next(loader)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        losses.append(loss.item())
        if step % 100 == 0:
            print(f"step {step} share {share:.2f} loss {np.mean(losses[-100:]):.4f}", flush=True)
    model.eval().to(torch.float16).save_pretrained(out)
    processor.save_pretrained(out)
    engine = CaptionEngine.from_pretrained(str(out))
    print(json.dumps({"steps": step} | evaluate(engine, held_out_clips(600)), indent=1))


def evaluate(engine: CaptionEngine, examples: list[Example]) -> dict[str, object]:
    """Accuracy by attribute where it is clear, beside the majority answer's, and exact captions."""
    results = engine.caption(
        [clip for clip, _ in examples], prompt=PROMPT, max_new_tokens=32, max_batch_tokens=8192
    )
    right: Counter[str] = Counter()
    scored: Counter[str] = Counter()
    truths: dict[str, Counter[str]] = {name: Counter() for name in ATTRIBUTES}
    hits: dict[str, Counter[str]] = {name: Counter() for name in ATTRIBUTES}
    exact = clear = 0
    for (_, judgement), result in zip(examples, results, strict=True):
        score = judgement.score(result.caption or "")
        for name, is_right in score.items():
            word = getattr(judgement.words, name)
            scored[name] += 1
            right[name] += is_right
            truths[name][word] += 1
            hits[name][word] += is_right
        if len(score) == len(ATTRIBUTES):
            clear += 1
            exact += all(score.values())
    return {
        name: {
            "accuracy": right[name] / scored[name],
            "balanced": float(np.mean([hits[name][w] / n for w, n in truths[name].items()])),
            "majority": max(truths[name].values()) / scored[name],
            "scored": scored[name],
        }
        for name in ATTRIBUTES
    } | {"exact": exact / max(clear, 1), "exact_of": clear}


def held_out_clips(number: int, seed: int = HELD_OUT_SEED) -> list[Example]:
    """Clips that training never sees: their seed is their own."""
    rng = np.random.default_rng(seed)
    return [make_example(rng, tau=TAU) for _ in range(number)]


def make_example(rng: np.random.Generator, *, tau: float) -> Example:
    """A rendered clip as the pipeline would hand it over, and what is true of it."""
    height_px, width_px = FRAME_SIZES[rng.integers(len(FRAME_SIZES))]
    n_frames = int(rng.integers(1, MAX_FRAMES + 1))
    frames = render(
        sample_shot(rng),
        n_frames=n_frames,
        fps=SAMPLE_FPS,
        height_px=height_px,
        width_px=width_px,
    )
    begin_s = float(rng.integers(0, 4000)) / 4  # only differences of times may matter
    scenes = tuple(
        SceneInput(
            frames=frames[scene.start : scene.end],
            n_frames=scene.end - scene.start,
            start_s=begin_s + scene.start / SAMPLE_FPS,
            end_s=begin_s + scene.end / SAMPLE_FPS,
        )
        for scene in segment(frames, tau=tau)
    )
    return ClipInput(scenes=scenes), judge(frames)


class RenderedBatches(IterableDataset):  # type: ignore[type-arg]
    """Endless batches with labels on the caption alone."""

    def __init__(self, processor: FlexiVideoProcessor, seed: int) -> None:
        self._processor, self._seed = processor, seed

    def __iter__(self) -> Iterator[BatchFeature]:
        torch.set_num_threads(1)
        rng = np.random.default_rng(self._seed)
        question = self._processor.prompt(PROMPT)
        while True:
            # Four batches' worth at a time, alike in length, so that little is padding.
            pool = [
                make_example(rng, tau=float(rng.uniform(*TAU_RANGE)))
                for _ in range(4 * BATCH_CLIPS)
            ]
            pool.sort(key=lambda example: self._processor.n_visual_tokens(example[0]))
            for first in rng.permutation(4) * BATCH_CLIPS:
                yield self._batch(question, pool[first : first + BATCH_CLIPS])

    def _batch(self, question: str, examples: list[Example]) -> BatchFeature:
        answers = [f"{judgement.words.caption()}<|im_end|>" for _, judgement in examples]
        batch = self._processor(
            text=[question + answer for answer in answers],
            clips=[clip for clip, _ in examples],
        )
        labels = torch.full_like(batch["input_ids"], -100)
        for row, answer in enumerate(answers):
            n_tokens = len(self._processor.tokenizer(answer)["input_ids"])
            labels[row, -n_tokens:] = batch["input_ids"][row, -n_tokens:]
        batch["labels"] = labels
        return batch


def make_processor() -> FlexiVideoProcessor:
    """Byte-level tokenizer, so that no prompt is ever unknown, with the captions' words merged."""
    rng = np.random.default_rng(0)
    texts = [judge(rng.integers(0, 255, (2, 8, 8, 3), np.uint8)).words.caption(), PROMPT]
    texts += [example[1].words.caption() for example in held_out_clips(200, seed=1)]
    texts.append("user assistant system\nSummarize this video clip in one word:")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )
    return FlexiVideoProcessor(
        fast,
        min_pixels=MIN_PIXELS,
        max_pixels=MAX_PIXELS,
        tau=TAU,
        sample_fps=SAMPLE_FPS,
        caption_prompt=PROMPT,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(processor: FlexiVideoProcessor) -> FlexiVideoForConditionalGeneration:
    """Two layers that see and four that write, 128 wide, with fan-in initialisation."""
    width, ids = 128, processor.tokenizer.convert_tokens_to_ids
    config = FlexiVideoConfig(
        vision_config={
            "depth": 2,
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_heads": 4,
            "out_hidden_size": width,
            "patch_size": processor.patch_size,
            "spatial_merge_size": processor.merge_size,
            "temporal_patch_size": 2,
            "tokens_per_second": 2,
            "window_size": 112,
            "fullatt_block_indexes": [0, 1],
        },
        text_config={
            "vocab_size": len(processor.tokenizer),
            "hidden_size": width,
            "intermediate_size": 3 * width,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 16384,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 30.0,
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
        temporal_resample="tei",
        tau=TAU,
        sample_fps=SAMPLE_FPS,
        caption_prompt=PROMPT,
    )
    model = FlexiVideoForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
        model.get_input_embeddings().weight.normal_(0, 0.1)
    return model.train()


if __name__ == "__main__":
    from cyclopts import run

    run(train)
