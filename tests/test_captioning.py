import numpy as np
import pytest
import torch
from tiny_checkpoints import noise_clips, save_stock, tiny_flexivideo, tiny_processor
from torch.nn import functional

from flexivideo.captioning import CaptionEngine, ClipInput, SceneInput, pack_by_tokens
from flexivideo.embedding import embed_inputs
from flexivideo.errors import ModelError, SettingsError
from flexivideo.greedy_decoding import end_tokens
from flexivideo.model_identity import model_digest
from flexivideo.prompts import EMBEDDING_PROMPT
from flexivideo.shared_prefill import SharedPrefill, around_clip

ASK = {"prompt": "Describe.", "max_new_tokens": 12}


@pytest.fixture(scope="module")
def engine():
    return CaptionEngine(tiny_flexivideo(seed=3), tiny_processor())


@pytest.fixture
def clips(engine, rng):
    return noise_clips(engine.processor, rng, (6, 1, 3, 9, 2))


def test_batches_say_what_singles_say_in_the_order_of_the_clips(engine, clips):
    together = engine.caption(clips, max_batch_tokens=100_000, **ASK)
    assert {result.status for result in together} <= {"success", "truncated"}
    for clip, result in zip(clips, together, strict=True):
        (alone,) = engine.caption([clip], max_batch_tokens=1, **ASK)
        assert (result.caption, result.status) == (alone.caption, alone.status)
        assert result.n_visual_tokens == engine.processor.n_visual_tokens(clip)
        assert result.embedding == pytest.approx(alone.embedding, abs=1e-5)


@torch.inference_mode()
def test_one_reading_of_the_clips_gives_what_a_reading_for_each_prompt_gives(engine, clips):
    """Tokens of generate() and vectors of embed_inputs(), each from its whole prompt."""
    model, processor = engine.model, engine.processor
    head, tail = around_clip(processor.prompt("Describe."))
    _, vector_tail = around_clip(processor.prompt(EMBEDDING_PROMPT))
    prefill = SharedPrefill(model, processor, clips, processor.vision_inputs(clips), head=head)
    vectors = functional.normalize(prefill.last_hidden(vector_tail), dim=-1)
    answers = prefill.generate(tail, max_new_tokens=12)
    expected = embed_inputs(
        model, **processor(text=processor.prompt(EMBEDDING_PROMPT), clips=clips)
    )
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-5)
    whole = processor(text=processor.prompt("Describe."), clips=clips)
    sequences = model.generate(**whole, max_new_tokens=12, do_sample=False)
    ends = end_tokens(model)
    for answer, row in zip(answers, sequences[:, whole["input_ids"].shape[1] :], strict=True):
        assert answer == row[: len(answer)].tolist()
        assert len(answer) == 12 or answer[-1] in ends
        assert not set(answer[:-1]) & set(ends)


def test_a_prompt_with_two_clips_or_none_is_refused():
    for prompt in ("Describe.", "<|video_pad|> or <|video_pad|>"):
        with pytest.raises(ModelError, match="expected one"):
            around_clip(prompt)


def test_clips_that_differ_have_embeddings_that_differ(engine, clips):
    vectors = np.stack(
        [r.embedding for r in engine.caption(clips, max_batch_tokens=100_000, **ASK)]
    )
    likeness = vectors @ vectors.T
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (likeness - np.eye(len(clips)) < 0.9999).all()


def test_one_clip_at_fault_costs_no_other(engine, clips):
    broken = SceneInput(
        frames=np.full((2, 56, 84, 3), np.nan, np.float32), n_frames=9, start_s=0.0, end_s=4.5
    )
    mixed = [*clips[:2], ClipInput(scenes=(broken,)), *clips[2:]]
    results = engine.caption(mixed, max_batch_tokens=100_000, **ASK)
    good = engine.caption(clips, max_batch_tokens=100_000, **ASK)
    assert results[2].status == "error"
    assert "finite" in results[2].error_message
    kept = results[:2] + results[3:]
    assert [r.caption for r in kept] == [r.caption for r in good]


def test_a_clip_longer_than_the_context_says_so(engine, rng):
    video = rng.integers(0, 256, (400, 60, 90, 3)).astype(np.uint8)
    clip = engine.processor.segment(video, fps=2.0)
    (result,) = engine.caption([clip], max_batch_tokens=100_000, **ASK)
    assert result.status == "error"
    assert "max_clip_tokens" in result.error_message


def test_a_text_has_the_same_vector_alone_and_in_company(engine):
    texts = ["a", "a red car drives by", "snow"]
    together = engine.embed_text(texts)
    for text, vector in zip(texts, together, strict=True):
        assert engine.embed_text([text])[0] == pytest.approx(vector, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_packing_covers_all_and_stays_within_the_budget(rng):
    lengths = rng.integers(1, 50, 200).tolist()
    batches = list(pack_by_tokens(lengths, budget=120))
    assert sorted(index for batch in batches for index in batch) == list(range(200))
    assert all(len(b) * max(lengths[i] for i in b) <= 120 for b in batches)
    assert len(batches) < 100  # it does pack


def test_an_item_above_the_budget_goes_alone():
    assert list(pack_by_tokens([5, 500, 5], budget=10)) == [[1], [0, 2]]


def test_the_digest_follows_the_weights_and_not_the_folder(tmp_path):
    first, again, other = (
        str(save_stock(tmp_path / name, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert model_digest(first) == model_digest(again) != model_digest(other)


def test_a_question_longer_than_the_context_is_at_fault_and_not_the_clips(engine, clips):
    with pytest.raises(SettingsError, match=r"the prompt takes \d+ tokens"):
        engine.caption(clips, prompt="word " * 1000, max_new_tokens=12, max_batch_tokens=100_000)
    with pytest.raises(SettingsError, match="expected at least one"):
        engine.caption(clips, prompt="Describe.", max_new_tokens=0, max_batch_tokens=100_000)
