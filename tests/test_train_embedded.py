"""The one command that makes the embedded checkpoint: two runs of the fine-tuning job."""

import json
from itertools import pairwise

import pytest

from flexivideo.captioning import CaptionEngine
from flexivideo.checkpoints import load_model
from jobs import train_embedded
from jobs.rendered_examples import held_out_clips, in_scenes

RUNS = ("scenes", "clips")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A step of each run; what is measured at the end has tests of its own."""
    out = tmp_path_factory.mktemp("embedded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_embedded, "measure_rendered", lambda _: {})
        train_embedded.train_embedded(out=out, scene_steps=2, clip_steps=1, seed=5, workers=1)
    return out


def metrics_of(out, name):
    lines = (out / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_each_run_begins_with_the_one_before(trained):
    begun = [json.loads((trained / name / "run.json").read_text()) for name in RUNS]
    starts = [trained / "start", trained / "scenes" / "model"]
    assert [record["settings"]["model"] for record in begun] == [str(start) for start in starts]
    assert {record["ended"] for record in begun} == {"completed"}


def test_the_last_run_alone_takes_a_contrast(trained):
    with_contrast = [["contrast_loss" in step for step in metrics_of(trained, n)] for n in RUNS]
    assert with_contrast == [[False, False], [True]]


def test_every_run_moves_the_weights(trained):
    folders = [trained / "start", *(trained / name / "model" for name in RUNS)]
    kernels = [load_model(str(f), device="cpu").lm_head.weight.float() for f in folders]
    for before, after in pairwise(kernels):
        assert (before - after).abs().max() > 1e-4


def test_what_comes_out_captions_and_embeds(trained):
    engine = CaptionEngine.from_pretrained(str(trained / "clips" / "model"))
    (clip,) = held_out_clips(engine.processor, 1)
    (result,) = engine.caption(
        [in_scenes(clip, tau=engine.spec.tau)],
        prompt=engine.processor.caption_prompt,
        max_new_tokens=4,
        max_batch_tokens=4096,
    )
    assert result.caption is not None
    assert float((result.embedding**2).sum()) == pytest.approx(1, abs=1e-3)


def test_the_same_command_again_has_nothing_left_to_do(trained, monkeypatch):
    monkeypatch.setattr(train_embedded, "measure_rendered", lambda _: {})
    weights = trained / "clips" / "model" / "model.safetensors"
    before = weights.read_bytes()
    train_embedded.train_embedded(out=trained, scene_steps=2, clip_steps=1, seed=5, workers=1)
    assert weights.read_bytes() == before
    assert [len(metrics_of(trained, name)) for name in RUNS] == [2, 1]
