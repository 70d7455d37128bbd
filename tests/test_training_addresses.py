"""Addresses of a store in fine-tuning: taken for a dataset of scenes, and nowhere else."""

from pathlib import Path

import pytest
from dataset_helpers import commit_under, make_ref
from s3_server import client
from tiny_checkpoints import save_stock

from flexivideo.checkpoints import load_processor
from flexivideo.errors import SettingsError
from jobs.cli import app
from jobs.finetuning.data import RecordExamples
from jobs.finetuning.launch import run_finetune
from jobs.finetuning.run_log import begin_record
from jobs.finetuning.settings import DataSettings, FinetuneSettings
from pipeline.settings import SegmentationSettings
from pipeline.store import open_store
from pipeline.store_settings import StoreSettings

ROOT = "s3://scenes-to-learn/index"


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return str(save_stock(tmp_path_factory.mktemp("start")))


def test_scenes_come_from_a_dataset_in_a_store(s3_server, start, tmp_path):
    client(s3_server).call_s3("create_bucket", Bucket="scenes-to-learn")
    store = StoreSettings(endpoint_url=s3_server)
    stored = SegmentationSettings(sample_fps=2.0, tau=0.3)
    commit_under(open_store(ROOT, store), stored, make_ref("a"))
    settings = FinetuneSettings(
        model=start,
        data=DataSettings(scenes_from=ROOT, data=(tmp_path / "a.jsonl",)),
        segmentation=SegmentationSettings(tau=0.4),
        store=store,
    )
    with pytest.raises(SettingsError, match=r"tau is 0\.4, and the scenes .* with 0\.3"):
        run_finetune(settings, out=tmp_path / "out")
    # And in a loader's process.
    RecordExamples([], settings, prompt="Say.").open(load_processor(start), 4096)


def test_how_a_store_is_reached_may_change_from_start_to_start(tmp_path):
    for address in ("http://a", "http://b"):
        settings = FinetuneSettings(model=None, store=StoreSettings(endpoint_url=address))
        begin_record(tmp_path, settings, data={})
    with pytest.raises(SettingsError, match="another model"):
        begin_record(tmp_path, FinetuneSettings(model="3b"), data={})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--data", "s3://bucket/a.jsonl"),
        ("--eval-data", "https://host/a.jsonl"),
        ("--media-root", "gs://bucket/media"),
        ("--out", "s3://bucket/run"),
    ],
)
def test_an_address_where_only_a_disk_will_do_is_refused(
    start, tmp_path, monkeypatch, option, value
):
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"video": "a.mp4", "caption": "A dog."}')
    given = {"--model": start, "--data": "a.jsonl", "--out": "out"} | {option: value}
    words = [word for pair in given.items() for word in pair]
    named = option.removeprefix("--").replace("-", "_")
    with pytest.raises(SettingsError, match=f"{named} is '[a-z0-9]+:/[^']*', the address"):
        app(["finetune", *words], result_action="return_value")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_checkpoint_is_not_converted_to_an_address(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="destination is 's3:/bucket/ours', the address"):
        app(["convert", start, "s3://bucket/ours"], result_action="return_value")
    assert list(tmp_path.iterdir()) == []
