"""A number that makes no sense is refused by name before anything starts."""

from math import inf, nan

import pytest

from flexivideo.checkpoints import check_checkpoint
from flexivideo.errors import SettingsError
from flexivideo.visual_spec import VisualSpec
from jobs.finetuning.settings import DataSettings, OptimizationSettings, RunSettings
from pipeline.decode_settings import DecodeSettings
from pipeline.settings import (
    CaptionSettings,
    CommitSettings,
    PackingSettings,
    PoolSettings,
    SegmentationSettings,
)
from pipeline.store_settings import StoreSettings

REFUSED = [
    (SegmentationSettings, "tau", (-0.1, nan, inf)),
    (SegmentationSettings, "sample_fps", (0, -2.0, nan, inf)),
    (SegmentationSettings, "max_scene_frames", (0, -1)),
    (PackingSettings, "clip_s", (0, nan, inf)),
    (PackingSettings, "max_pixels", (0, -3)),
    (DecodeSettings, "progress_timeout_s", (0, nan, inf, 1e300)),
    (DecodeSettings, "decode_timeout_s", (0, nan, inf)),
    (DecodeSettings, "memory_limit_mib", (0, 2**60)),
    (DecodeSettings, "max_duration_s", (0, -1, nan)),
    (DecodeSettings, "max_size_mib", (0, -1)),
    (DecodeSettings, "max_side_px", (0,)),
    (DecodeSettings, "max_frame_pixels", (0,)),
    (DecodeSettings, "max_streams", (0, 10**9)),
    (CaptionSettings, "max_new_tokens", (0, -1)),
    (CaptionSettings, "attention", ("bogus", "")),
    (CaptionSettings, "dtype", ("int8",)),
    (PoolSettings, "decode_max", (0,)),
    (CommitSettings, "every_s", (-5, nan, inf)),
    (CommitSettings, "lease_s", (0, nan, inf, 1e30)),
    (StoreSettings, "endpoint_url", ("ftp://host", "host:9000", "https://key:secret@host")),
    (OptimizationSettings, "lr", (0, nan, inf)),
    (OptimizationSettings, "steps", (0, -1)),
    (OptimizationSettings, "warm_up", (-0.1, 2, nan)),
    (OptimizationSettings, "contrast_weight", (-1, nan)),
    (OptimizationSettings, "optimizer", ("sgd",)),
    (RunSettings, "workers", (0,)),
    (RunSettings, "max_failures", (-1,)),
    (DataSettings, "max_pixels", (0,)),
]


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [(settings, name, value) for settings, name, values in REFUSED for value in values],
)
def test_nonsense_is_refused_by_name(settings, name, value):
    with pytest.raises(SettingsError, match=f"^{name} is .*; expected "):
        settings(**{name: value})


@pytest.mark.parametrize("settings", {settings for settings, _, _ in REFUSED})
def test_the_defaults_are_accepted(settings):
    settings()


def test_fewer_pixels_than_a_visual_token_has_are_refused():
    with pytest.raises(SettingsError, match=r"max_pixels is 10; expected at least \d+"):
        VisualSpec.from_pretrained(None, max_pixels=10)


@pytest.mark.parametrize(
    "asked", [{"max_new_tokens": 10**11}, {"prompt": "Describe the video. " * 20_000}]
)
def test_a_question_or_answer_longer_than_the_context_is_refused(asked):
    with pytest.raises(SettingsError, match="fewer than the model's"):
        check_checkpoint(None, **asked)


def test_an_address_with_a_secret_is_refused_without_being_repeated():
    with pytest.raises(SettingsError) as refused:
        StoreSettings(endpoint_url="https://key:hunter2@host")
    assert "hunter2" not in str(refused.value)
