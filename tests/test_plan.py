"""A plan says what a run brings, from a part of what the run reads, and changes nothing."""

import json
import math
import os
import random

import numpy as np
import pytest
import torch
from decode_helpers import make_plan
from s3_server import client
from synthetic_media import textured_shots, write_video
from tiny_checkpoints import save_stock

from flexivideo.errors import SettingsError
from jobs.index import PlanSettings, index
from jobs.option_groups import GroupedSettings
from pipeline import survey
from pipeline.decode_settings import DecodeSettings
from pipeline.estimates import Estimate, header_total, stretch_total
from pipeline.glimpse import VideoGlimpse, glimpse_rows
from pipeline.identity import video_id
from pipeline.listing_sample import ListingSample
from pipeline.local_uri import to_uri
from pipeline.records import VideoRef
from pipeline.run_plan import plan_run
from pipeline.settings import CaptionSettings, IndexSettings
from pipeline.sources import local_ref
from pipeline.store_settings import StoreSettings
from pipeline.stretch_patterns import like_stretch
from pipeline.video_rows import video_rows
from pipeline.views import connect

TOLERANCE = 0.2


def planned(source, root, capfd, *, settings=None, **planning):
    """What ``index --plan --json`` prints."""
    index(
        str(source),
        out=str(root),
        json=True,
        planning=PlanSettings(plan=True, **planning),
        settings=settings or GroupedSettings(),
    )
    (line,) = capfd.readouterr().out.splitlines()
    return json.loads(line)


def totals(paths, *, longest_s=math.inf):
    """What the run makes of the videos that are not longer, by its own decode."""
    plan, found = plan_run(IndexSettings()).decode, dict.fromkeys(COUNTED, 0.0)
    for path in paths:
        *_, last = video_rows(local_ref(to_uri(str(path))), "run", plan)
        outcome = last.to_pylist()[0]["outcome"]
        if (outcome["duration_s"] or 0) > longest_s:
            continue
        found["video_hours"] += (outcome["duration_s"] or 0) / 3600
        for name in COUNTED[1:]:
            found[name] += outcome[name]
    return found


COUNTED = ("video_hours", "n_scenes", "n_clips", "n_visual_tokens")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Videos of many lengths, sizes and paces, and two that are none."""
    folder, rng = tmp_path_factory.mktemp("mixed"), np.random.default_rng(7)
    paces = [5, 8, 15, 30, 60, 120, 240]
    for number, frames_each in enumerate(paces * 2):
        height, width = ((72, 96), (144, 112))[number % 2]
        n_shots = max(1, (240 + 40 * number) // frames_each)
        frames = textured_shots(rng, n_shots, frames_each, height, width)
        write_video(folder / f"{number:02}.mp4", frames, options={"g": "20"})
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video at all")
    return folder


def test_a_plan_is_within_a_fifth_of_the_run_and_writes_nothing(mixed, tmp_path, capfd):
    plan = planned(mixed, tmp_path / "root", capfd)
    expected, paths = plan["forecast"], sorted(mixed.iterdir())
    assert (plan["n_listed"], expected["n_videos"]) == (len(paths), len(paths))
    assert {kind: one["value"] for kind, one in expected["will_fail"].items()} == {
        "empty": 1,
        "not_a_video": 1,
    }
    for name, value in totals(paths).items():
        assert expected[name]["value"] == pytest.approx(value, rel=TOLERANCE), name
    watched_s = expected["n_stretches"] * survey.STRETCH_S
    assert watched_s < 0.3 * 3600 * expected["video_hours"]["value"]
    assert expected["decode_cpu_hours"]["value"] > 0 < expected["model_hours"]["value"]
    assert expected["model_on"] == "CPU"
    assert not list(tmp_path.iterdir())


def test_a_video_that_will_be_skipped_is_not_looked_at(mixed, tmp_path, capfd):
    longest_s = 50
    settings = GroupedSettings(decode=DecodeSettings(max_duration_s=longest_s))
    expected = planned(mixed, tmp_path / "root", capfd, settings=settings)["forecast"]
    assert expected["will_fail"]["too_long"]["value"] > 1
    for name, value in totals(sorted(mixed.iterdir()), longest_s=longest_s).items():
        assert expected[name]["value"] == pytest.approx(value, rel=TOLERANCE), name


def test_a_runs_row_holds_its_plan_beside_what_it_took(undisturbed):
    root, (printed, summary) = undisturbed
    (row,) = connect(str(root)).execute("SELECT plan, counts FROM runs").fetchall()
    plan, counts = map(json.loads, row)
    assert {"event": "plan"} | plan == printed
    assert counts["n_clips"] == summary["n_clips"] > 0
    assert plan["forecast"]["will_fail"]["empty"]["value"] == counts["by_error_kind"]["empty"]
    for name in COUNTED:
        assert plan["forecast"][name]["value"] == pytest.approx(counts[name], rel=TOLERANCE), name


def test_what_is_done_is_not_planned_again(archive, undisturbed, capfd):
    before = sorted(path for path in undisturbed[0].rglob("*"))
    plan = planned(archive, undisturbed[0], capfd)
    assert (plan["n_listed"], plan["n_already_done"], plan["forecast"]) == (4, 4, None)
    assert sorted(path for path in undisturbed[0].rglob("*")) == before


def test_of_objects_only_ranges_are_read_and_few_of_their_bytes(
    s3_server, proxy, tmp_path, capfd, monkeypatch, rng
):
    monkeypatch.setattr(survey, "MOST_STRETCHES", 6)
    film = tmp_path / "film.mkv"
    noise = rng.integers(0, 256, (40, 144, 192, 3), np.uint8)
    write_video(film, noise[rng.integers(0, 40, 3000)], codec="mjpeg", pixel_format="yuvj420p")
    store, content = client(s3_server), film.read_bytes()
    store.call_s3("create_bucket", Bucket="plans")
    for name in ("a", "b", "c"):
        store.pipe_file(f"plans/in/{name}.mkv", content)
    asked: list[tuple[str, str | None]] = []

    def is_noted(request):
        asked.append((request.method, request.headers.get("Range")))
        return False

    proxy.begin(lambda n: None, of=is_noted)
    settings = GroupedSettings(store=StoreSettings(endpoint_url=proxy.address))
    plan = planned("s3://plans/in", tmp_path / "root", capfd, settings=settings)
    expected = plan["forecast"]
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in json.dumps(plan)
    ranges = [range_ for method, range_ in asked if method == "GET" and range_]
    spans = [range_.removeprefix("bytes=").split("-") for range_ in ranges]
    n_bytes = sum(int(last) + 1 - int(first) for first, last in spans)
    assert (expected["plan_requests"], expected["plan_bytes"]) == (len(ranges), n_bytes)
    assert 0 < n_bytes < 0.25 * expected["n_bytes"]
    assert expected["n_bytes"] == 3 * len(content)
    assert expected["video_hours"]["value"] == pytest.approx(3 * 300 / 3600, rel=0.01)
    # All that is no range is about names: a listing and whether the prefix is an object.
    assert len(asked) - len(ranges) <= 4
    assert expected["n_requests"] == 3 * -(-len(content) // (8 << 20))


def test_an_object_that_is_gone_is_counted_and_stops_nothing(mixed, tmp_path, capfd):
    named = tmp_path / "named.txt"
    named.write_text(f"{mixed / '00.mp4'}\n{tmp_path / 'gone.mp4'}\n")
    index(manifest=(str(named),), out=str(tmp_path / "root"), planning=PlanSettings(plan=True))
    shown = capfd.readouterr().out
    assert "1 source_missing" in shown
    assert "2 to do" in shown


@pytest.mark.parametrize("frames_each", [8, 25, 300])
def test_stretches_of_a_video_that_is_alike_throughout_tell_its_scenes_and_clips(
    tmp_path, rng, frames_each
):
    """On an average; also where none holds a boundary, and the limits of scene and clip decide."""
    path = tmp_path / "even.mp4"
    write_video(path, textured_shots(rng, 900 // frames_each, frames_each), options={"g": "30"})
    plan, ref, likes = make_plan(), local_ref(to_uri(str(path))), []
    for place in np.linspace(0.02, 0.98, 12):
        *clips, last = (batch.to_pylist()[0] for batch in glimpse_rows(ref, plan, place))
        scenes = [scene for row in clips for scene in row["scenes"]]
        likes.append(like_stretch(scenes, VideoGlimpse(**last), plan))
    outcome = list(video_rows(ref, "run", plan))[-1].to_pylist()[0]["outcome"]
    for name in ("n_scenes", "n_clips"):
        mean = np.mean([getattr(like, name) for like in likes])
        assert mean == pytest.approx(outcome[name], rel=TOLERANCE, abs=2), name


def test_a_video_that_was_watched_whole_is_counted_not_guessed(tmp_path, rng):
    path = write_video(tmp_path / "short.mp4", textured_shots(rng, 5, 5))
    plan, ref = make_plan(), local_ref(to_uri(str(path)))
    *clips, last = (batch.to_pylist()[0] for batch in glimpse_rows(ref, plan, 0.7))
    scenes = [scene for row in clips for scene in row["scenes"]]
    like = like_stretch(scenes, VideoGlimpse(**last), plan)
    outcome = list(video_rows(ref, "run", plan))[-1].to_pylist()[0]["outcome"]
    assert (like.n_scenes, like.n_clips) == (outcome["n_scenes"], outcome["n_clips"])


def listing(generator, number):
    """References of made-up videos, and their seconds: bytes over a bit rate of their own."""
    refs, seconds = [], {}
    for name in range(number):
        uri, size_bytes = f"/a/{name}.mp4", round(generator.lognormvariate(16, 1.5))
        refs.append(
            VideoRef(uri=uri, version="1", video_id=video_id(uri, "1"), size_bytes=size_bytes)
        )
        seconds[uri] = size_bytes / generator.lognormvariate(13, 0.6)
    return refs, seconds


def test_a_sample_of_a_long_listing_gives_its_hours_with_their_error():
    """Over many listings no bias, and two standard errors hold the truth nearly always."""
    generator, ratios, n_held = random.Random(3), [], 0
    for _ in range(100):
        refs, seconds = listing(generator, 1500)
        sample = ListingSample(most=100)
        for start in range(0, len(refs), 500):
            sample.add(refs[start : start + 500])
        chosen = sample.videos()
        assert len(chosen) == 100
        total = header_total(
            [seconds[one.ref.uri] for one in chosen],
            [one.weight for one in chosen],
            [one.size_bytes for one in chosen],
            sample.n_bytes,
        )
        truth = sum(seconds.values())
        ratios.append(total.value / truth)
        n_held += abs(total.value - truth) < 2 * total.error
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)
    assert n_held >= 88


def test_a_listing_that_fits_the_sample_is_known_exactly():
    refs, seconds = listing(random.Random(4), 30)
    sample = ListingSample(most=30)
    sample.add(refs)
    chosen = sample.videos()
    assert [one.ref for one in chosen] == refs
    assert {one.weight for one in chosen} == {1.0}
    values, sizes = [seconds[ref.uri] for ref in refs], [ref.size_bytes for ref in refs]
    total = header_total(values, [1.0] * 30, sizes, sample.n_bytes)
    assert total.value == pytest.approx(sum(values))
    assert total.error == 0


def test_what_was_seen_whole_has_no_error():
    seen = stretch_total([1.0, 3.0], [1.0, 1.0], Estimate(value=10.0), seen_share=1.0)
    assert (seen.value, seen.error) == (20.0, 0.0)
    part = stretch_total([1.0, 3.0], [1.0, 1.0], Estimate(value=10.0), seen_share=0.5)
    assert part.error > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="here the model would be measured")
def test_a_model_that_cannot_be_measured_costs_its_operations_at_the_stated_rate(
    tmp_path, rng, capfd
):
    video = write_video(tmp_path / "video.mp4", textured_shots(rng, 2, 40))
    caption = CaptionSettings(model=str(save_stock(tmp_path / "stock")), max_new_tokens=9)
    settings, hours = GroupedSettings(caption=caption), []
    for tflops in (1.0, 4.0):
        plan = planned(video, tmp_path / "root", capfd, settings=settings, plan_tflops=tflops)
        expected = plan["forecast"]
        assert expected["model_on"] == "GPU"
        assert f"{tflops:g} TFLOP/s" in expected["model_rate"]
        hours.append(expected["model_hours"]["value"])
        teraflops = expected["model_teraflops"]["value"]
        assert 3600 * tflops * hours[-1] == pytest.approx(teraflops)
    assert hours[0] == pytest.approx(4 * hours[1])
    assert hours[1] > 0


def test_a_rate_that_is_none_is_refused():
    with pytest.raises(SettingsError, match="plan_tflops is 0"):
        PlanSettings(plan_tflops=0)
