"""Steps in which something is wrong: none of them ends as a model that looks like a good one."""

import fcntl
from dataclasses import replace

import pytest
import torch
from PIL import Image
from tiny_checkpoints import save_stock

from flexivideo.checkpoints import load_processor
from flexivideo.errors import SettingsError, TrainingError
from jobs.finetuning.data import RecordExamples
from jobs.finetuning.launch import run_on_examples
from jobs.finetuning.loader import StepShares
from jobs.finetuning.run_log import RunLog, begin_record, end_record, note_left_out
from jobs.finetuning.settings import (
    DataSettings,
    FinetuneSettings,
    OptimizationSettings,
    RunSettings,
)
from jobs.finetuning.stepper import Stepper
from jobs.finetuning.usable_records import UsableRecords
from jobs.finetuning.watch import describe_step, watched
from pipeline.training_records import LeftOut, TrainingRecord, Turn

GONE = [LeftOut(record_id=f"a.jsonl:{number}", reason="a.mp4 is not there") for number in range(4)]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return str(save_stock(tmp_path_factory.mktemp("start")))


@pytest.fixture(scope="module")
def settings(start):
    return FinetuneSettings(
        model=start,
        optimization=OptimizationSettings(steps=2, global_batch=2, lr=1e-3),
        run=RunSettings(gradient_checkpointing=True),
    )


def share(settings, folder, media, rng):
    """Two records about a picture, or about none."""
    Image.fromarray(rng.integers(0, 255, (60, 80, 3)).astype("uint8")).save(folder / "there.png")
    record = TrainingRecord(
        record_id="1",
        media=str(folder / media),
        is_image=True,
        turns=(Turn(question="", answer="A dog."),),
    )
    processor = load_processor(settings.model)
    examples = RecordExamples([record] * 2, settings, prompt="Say.")
    examples.open(processor, 4096)
    shares = StepShares(
        examples=examples,
        processor=processor,
        context_tokens=4096,
        numbers=((0, 1),),
        batch_tokens=4096,
        with_vectors=False,
    )
    return shares.load(0)


def parameters(stepper):
    return torch.cat([parameter.detach().flatten() for parameter in stepper.model.parameters()])


def test_a_step_without_usable_records_has_no_loss_and_moves_nothing(settings, tmp_path, rng):
    stepper = Stepper(settings, load_processor(settings.model), settings.model)
    nothing, before = share(settings, tmp_path, "gone.png", rng), parameters(stepper).clone()
    metrics = stepper.step(1, nothing, n_steps=2)
    assert (metrics["n_left_out"], "loss" in metrics) == (2, False)
    assert torch.equal(parameters(stepper), before)
    evaluated, unusable = stepper.evaluate([nothing])
    assert evaluated == {"n_eval_tokens": 0, "n_eval_left_out": 2}
    assert [record.record_id for record in unusable] == ["1", "1"]
    line = metrics | evaluated | {"step": 0, "step_s": 1.0}
    assert "no record can be used" in describe_step([line], n_steps=2)
    assert "nothing to evaluate on" in describe_step([line], n_steps=2)


def test_a_loss_that_is_not_finite_ends_the_run_before_it_reaches_a_weight(settings, tmp_path, rng):
    stepper = Stepper(settings, load_processor(settings.model), settings.model)
    with torch.no_grad():
        stepper.model.lm_head.weight[7] = torch.nan
    finite = torch.isfinite(parameters(stepper))
    with pytest.raises(TrainingError, match=r"at step 1 the loss is nan .* expected finite"):
        stepper.step(1, share(settings, tmp_path, "there.png", rng), n_steps=2)
    assert torch.equal(torch.isfinite(parameters(stepper)), finite)


@pytest.mark.parametrize("asked", [True, False])
def test_checkpointing_computes_layers_again(settings, tmp_path, rng, asked):
    chosen = replace(settings, run=replace(settings.run, gradient_checkpointing=asked))
    stepper = Stepper(chosen, load_processor(chosen.model), chosen.model)
    layers = [stepper.model.model.language_model.layers[0], stepper.model.model.visual.blocks[0]]
    calls = [0, 0]

    def count(index):
        def seen(*_):
            calls[index] += 1

        return seen

    for index, layer in enumerate(layers):
        layer.mlp.register_forward_pre_hook(count(index))
    stepper.step(0, share(chosen, tmp_path, "there.png", rng), n_steps=2)
    assert calls == ([2, 2] if asked else [1, 1])


def test_a_run_without_any_usable_record_ends_with_the_first_reason():
    for n_records in (4, 100):
        usable = UsableRecords(n_records, are_known=False)
        with pytest.raises(TrainingError, match=r"none of 4 .*a\.jsonl:0.*a\.mp4 is not there"):
            usable.see(GONE, has_learned=False, is_last=n_records > 4)


def test_a_run_with_some_usable_records_goes_on():
    usable = UsableRecords(5, are_known=False)
    usable.see(GONE, has_learned=False, is_last=False)
    usable.see([], has_learned=True, is_last=False)
    usable.see(GONE, has_learned=False, is_last=True)
    UsableRecords(4, are_known=True).see(GONE, has_learned=False, is_last=True)


def test_two_runs_never_write_into_one_folder(start, tmp_path):
    with open(tmp_path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match="another process trains in"):
            run_on_examples(
                RecordExamples([], FinetuneSettings(model=start), prompt="Say."),
                None,
                FinetuneSettings(model=start),
                out=tmp_path,
            )


def test_pixels_too_few_for_a_token_are_refused_before_any_worker_starts(settings, tmp_path):
    few = replace(settings, data=DataSettings(max_pixels=100))
    with pytest.raises(SettingsError, match="max_pixels is 100; expected at least 784"):
        run_on_examples(RecordExamples([], few, prompt="Say."), None, few, out=tmp_path / "out")
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_record_that_is_left_out_again_and_again_is_counted_once(settings, tmp_path):
    begin_record(tmp_path, settings, data={})
    note_left_out(tmp_path, GONE[:1])
    log = RunLog(tmp_path, first_step=0)
    said = []
    for step in range(3):
        log.leave_out(GONE[1:3])
        log.write(step, {"n_left_out": 2, "n_clips": 1, "step_s": 1.0, "lr": 1e-3, "loss": 1.0})
    log.close()
    with watched(tmp_path, n_steps=3, say=said.append):
        pass
    assert said[-1].endswith("  records left out: 3")
    assert end_record(tmp_path, "completed")["n_left_out"] == 3


@pytest.mark.parametrize("out", ["file", "file/run"])
def test_a_file_where_the_run_is_to_be_written_is_named(settings, tmp_path, out):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="a file stands there or above; expected a folder"):
        run_on_examples(RecordExamples([], settings, prompt=""), None, settings, out=tmp_path / out)
