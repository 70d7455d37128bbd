"""Fine-tuning: the same run on one worker or two, unbroken or killed; nothing wrong in its data
ends it.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from synthetic_media import textured_shots, write_video
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_checkpoints import save_stock

from flexivideo.captioning import CaptionEngine
from flexivideo.checkpoints import load_processor
from flexivideo.errors import ModelError, SettingsError
from flexivideo.visual_spec import VisualSpec
from jobs.finetuning.attempts import train_on_cluster
from jobs.finetuning.data import RecordExamples, read_all
from jobs.finetuning.launch import run_finetune
from jobs.finetuning.run_log import read_metrics
from jobs.finetuning.settings import (
    DataSettings,
    FinetuneSettings,
    OptimizationSettings,
    RunSettings,
)
from jobs.finetuning.worker import TrainingTask
from pipeline.settings import SegmentationSettings
from pipeline.views import connect

pytestmark = pytest.mark.cluster

N_STEPS, N_BATCH = 6, 8
FLEXIVIDEO = [sys.executable, "-c", "from jobs.cli import main; main()"]

# Sums of float32 in another order.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A checkpoint, videos and pictures with captions, and records that cannot be used."""
    folder = tmp_path_factory.mktemp("material")
    save_stock(folder / "start")
    rows = []
    for number in range(10):
        rng = np.random.default_rng(number)
        if number % 4 == 3:
            pixels = rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            rows.append({"image": f"{number}.png", "caption": f"picture {number}"})
        else:
            shots = textured_shots(rng, 1 + number % 3, 10 + 10 * (number % 2))
            write_video(folder / f"{number}.mp4", shots)
            rows.append({"video": f"{number}.mp4", "caption": f"clip {number}", "prompt": "Say."})
    (folder / "noise.mp4").write_bytes(b"nothing")
    for media in ("noise.mp4", "gone.mp4"):
        rows.append({"video": media, "caption": "never learned"})
    lines = [json.dumps(row) for row in rows]
    (folder / "train.jsonl").write_text("\n".join([*lines, "{torn"]) + "\n")
    gone = json.dumps({"video": "gone too.mp4", "caption": "never evaluated"})
    (folder / "eval.jsonl").write_text("\n".join([*lines[:3], gone]) + "\n")
    return folder


@pytest.fixture(scope="module")
def settings(material) -> FinetuneSettings:
    return FinetuneSettings(
        model=str(material / "start"),
        data=DataSettings(
            data=(material / "train.jsonl",), eval_data=(material / "eval.jsonl",), prompt="Say."
        ),
        optimization=OptimizationSettings(
            steps=N_STEPS, global_batch=N_BATCH, lr=1e-3, contrast_weight=0.3
        ),
        segmentation=SegmentationSettings(tau=0.15, sample_fps=4.0),
        run=RunSettings(save_steps=2, eval_steps=3, max_failures=0, dtype="float32"),
    )


@pytest.fixture(scope="module")
def unbroken(ray_cluster, settings, tmp_path_factory) -> Path:
    """One worker, from the beginning to the end."""
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    record = run_finetune(settings, out=out)
    assert record["ended"] == "completed"
    return out


def losses(out: Path) -> dict[str, list[float]]:
    metrics = read_metrics(out)
    assert [line["step"] for line in metrics] == list(range(N_STEPS))
    names = ("loss", "eval_loss", "contrast_loss", "grad_norm")
    return {name: [line[name] for line in metrics if name in line] for name in names}


def assert_equal_runs(out: Path, other: Path, tolerance: float) -> None:
    expected = losses(other)
    for name, values in losses(out).items():
        assert values == pytest.approx(expected[name], rel=tolerance, abs=tolerance), name
    ours, theirs = (load_file(run / "model" / "model.safetensors") for run in (out, other))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert float((tensor - theirs[name]).abs().max()) <= tolerance, name


def test_it_learns_and_its_result_is_a_checkpoint(unbroken, material):
    values = losses(unbroken)
    assert values["loss"][-1] < values["loss"][0]
    assert values["eval_loss"][-1] < values["eval_loss"][0]
    engine = CaptionEngine.from_pretrained(str(unbroken / "model"))
    for spec in (engine.spec, VisualSpec.from_pretrained(str(unbroken / "model"))):
        assert (spec.tau, spec.sample_fps, spec.caption_prompt) == (0.15, 4.0, "Say.")
    video = np.zeros((4, 56, 56, 3), np.uint8)
    ask = {"prompt": "Say.", "max_new_tokens": 4, "max_batch_tokens": 4096}
    (result,) = engine.caption([engine.processor.segment(video, fps=2.0)], **ask)
    assert result.status in ("success", "truncated")


def test_what_cannot_be_used_is_counted_and_named(unbroken, material):
    lines = (unbroken / "left_out.jsonl").read_text().splitlines()
    reasons = {Path(line["record_id"]).name: line["reason"] for line in map(json.loads, lines)}
    unusable = ["eval.jsonl:4", "train.jsonl:11", "train.jsonl:12", "train.jsonl:13"]
    assert sorted(reasons) == unusable
    assert "gone too.mp4" in reasons["eval.jsonl:4"]
    assert "noise.mp4" in reasons["train.jsonl:11"]
    assert "gone.mp4 is not there" in reasons["train.jsonl:12"]
    assert "not JSON" in reasons["train.jsonl:13"]
    record = json.loads((unbroken / "run.json").read_text())
    assert record["n_left_out"] == 4
    assert record["last_evaluation"]["n_eval_left_out"] == 1
    metrics = read_metrics(unbroken)
    assert all(line["n_clips"] + line["n_left_out"] == N_BATCH for line in metrics)
    assert sum(line["n_left_out"] for line in metrics) > 0


def test_curves_are_the_metrics(unbroken):
    curves = EventAccumulator(str(unbroken / "tensorboard")).Reload()
    for name, values in losses(unbroken).items():
        assert [point.value for point in curves.Scalars(name)] == pytest.approx(values)


@pytest.mark.parametrize(
    "how",
    [
        {"workers": 2, "batch_tokens": 400},
        {"workers": 2, "fsdp": True, "gradient_checkpointing": True, "loaders": 2},
    ],
    ids=["other micro-batches", "sharded"],
)
def test_two_workers_learn_what_one_learns(ray_cluster, settings, unbroken, tmp_path, how):
    two = replace(settings, run=replace(settings.run, **how))
    run_finetune(two, out=tmp_path / "two")
    assert_equal_runs(tmp_path / "two", unbroken, TOLERANCE)


def test_a_killed_run_goes_on_as_if_it_had_not_been(settings, unbroken, material, tmp_path):
    out = tmp_path / "killed"
    command = [
        *FLEXIVIDEO,
        *("finetune", "--model", settings.model, "--out", str(out), "--prompt", "Say."),
        *("--data", str(material / "train.jsonl"), "--eval-data", str(material / "eval.jsonl")),
        *("--steps", str(N_STEPS), "--global-batch", str(N_BATCH), "--lr", "1e-3"),
        *("--contrast-weight", "0.3", "--save-steps", "2", "--eval-steps", "3"),
        *("--dtype", "float32", "--tau", "0.15", "--sample-fps", "4"),
    ]
    doomed = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while len(read_metrics(out)) < 3:  # after the checkpoint of step 2, before that of step 4
        with suppress(subprocess.TimeoutExpired):
            doomed.wait(timeout=0.01)
        assert doomed.poll() is None
    os.killpg(doomed.pid, signal.SIGKILL)
    doomed.wait()
    assert len(read_metrics(out)) < N_STEPS
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert_equal_runs(out, unbroken, 0.0)


@pytest.fixture(scope="module")
def indexed(ray_cluster, material, tmp_path_factory) -> Path:
    """A dataset of the videos, segmented under another tau than the checkpoint's."""
    root = tmp_path_factory.mktemp("indexed") / "root"
    command = [*FLEXIVIDEO, "index", str(material), "--out", str(root), "--tau", "0.05"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return root


def test_videos_of_a_dataset_are_cut_into_its_scenes(settings, indexed, material):
    """Under a tau that would make one scene of each."""
    stored = replace(
        settings,
        data=replace(settings.data, scenes_from=str(indexed)),
        segmentation=SegmentationSettings(sample_fps=4.0, tau=9.0),
    )
    records, _ = read_all(settings.data.data, None)
    examples = RecordExamples(records, stored, prompt="Say.")
    examples.open(load_processor(settings.model), context_tokens=10_000)
    n_scenes = 0
    for number, record in enumerate(records[:10]):
        if not record.is_image:
            expected = connect(str(indexed)).execute(
                """SELECT scenes.n_frames FROM scenes JOIN videos USING (video_id)
                   WHERE ends_with(uri, $1) ORDER BY scene_index""",
                ["/" + Path(record.media).name],
            )
            scenes = examples.load(number).clip.scenes
            assert [(scene.n_frames,) for scene in scenes] == expected.fetchall()
            n_scenes += len(scenes)
    assert n_scenes > 10


def test_a_tau_that_is_not_the_datasets_is_refused(settings, indexed, tmp_path):
    other = replace(
        settings,
        data=replace(settings.data, scenes_from=str(indexed)),
        segmentation=SegmentationSettings(tau=0.3),
    )
    with pytest.raises(SettingsError, match=r"tau is 0\.3, and the scenes .* with 0\.05"):
        run_finetune(other, out=tmp_path / "other")


def test_other_settings_or_data_do_not_go_on_in_its_folder(settings, unbroken, material, tmp_path):
    learning = replace(settings.optimization, lr=2e-3)
    with pytest.raises(SettingsError, match="another optimization"):
        run_finetune(replace(settings, optimization=learning), out=unbroken)
    data = material / "train.jsonl"
    before = data.read_text()
    data.write_text(before.replace("clip 2", "clip two"))
    try:
        with pytest.raises(SettingsError, match="another data_digest"):
            run_finetune(settings, out=unbroken)
    finally:
        data.write_text(before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": ()}, "at least one file"),
        ({"data": (Path("gone.jsonl"),)}, "gone.jsonl cannot be read"),
    ],
)
def test_a_run_without_data_says_so_before_anything_starts(settings, tmp_path, change, said):
    with pytest.raises(SettingsError, match=said):
        run_finetune(replace(settings, data=replace(settings.data, **change)), out=tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_what_a_worker_cannot_help_is_raised_as_it_is_and_too_many_workers_never_start(
    ray_cluster, settings, tmp_path
):
    said = []
    gone = TrainingTask(
        settings=replace(
            settings, model=str(tmp_path / "gone"), run=replace(settings.run, max_failures=3)
        ),
        out=tmp_path,
        examples=None,
        eval_examples=None,
        n_steps=1,
    )
    with pytest.raises(ModelError, match=r"gone' is no folder on"):
        train_on_cluster(gone, ray_cluster, storage=tmp_path / "ray", say=said.append)
    assert said == []
    many = replace(settings, run=replace(settings.run, workers=999))
    with pytest.raises(SettingsError, match=r"999 training workers need a .PU each"):
        run_finetune(many, out=tmp_path / "many", say=said.append)
    assert json.loads((tmp_path / "many" / "run.json").read_text())["ended"] == "failed"
