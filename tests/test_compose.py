"""The two stages on a real cluster: streaming, unfused, and whole whatever dies."""

import os
import shutil
import signal
import sys
import threading
from dataclasses import replace

import pytest
import ray.data
from decode_helpers import make_plan
from ray import cloudpickle
from synthetic_media import textured_shots, write_video
from tiny_checkpoints import save_stock

from pipeline import compose
from pipeline.assembly import Assembler
from pipeline.caption_keeper import CaptionKeeper
from pipeline.caption_stage import CaptionPlan, CaptionStage
from pipeline.compose import captioned_dataset, captioned_rows, index_videos
from pipeline.decode_stage import DecodeStage
from pipeline.index_session import open_for_index
from pipeline.pools import size_pools
from pipeline.progress import Progress
from pipeline.run_identity import RunIdentity
from pipeline.run_plan import RunPlan
from pipeline.settings import CaptionSettings, PoolSettings
from pipeline.sources import Listing
from pipeline.store import LocalStore

pytestmark = pytest.mark.cluster

N_VIDEOS, SHOTS_EACH = 6, 3


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    import numpy as np

    folder = tmp_path_factory.mktemp("archive")
    first = write_video(folder / "0.mp4", textured_shots(np.random.default_rng(5), SHOTS_EACH, 40))
    for number in range(1, N_VIDEOS):
        shutil.copy(first, folder / f"{number}.mp4")
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    model = str(save_stock(tmp_path_factory.mktemp("model"), seed=4))
    identity = RunIdentity.of(segmenter={}, packing={}, model={}, prompt={}, limits={})
    caption = CaptionPlan(
        settings=CaptionSettings(model=model, max_new_tokens=4, batch_clips=4),
        prompt="Describe.",
        max_pixels=84 * 84,
    )
    return RunPlan(decode=make_plan(), caption=caption, identity=identity)


@pytest.fixture
def pools(ray_cluster):
    return size_pools(PoolSettings(), cpus=ray_cluster.cpus, gpus=ray_cluster.gpus)


class Collector:
    """Stands where the committer does, and keeps what it is given."""

    def __init__(self):
        self.videos = {}

    def add(self, video):
        assert video.video_id not in self.videos
        captions = [batch["caption"][0].as_py() for batch in video.batches()]
        self.videos[video.video_id] = (video.outcome, captions)

    def due(self):
        return False

    def commit(self):
        return None


def run(archive, plan, pools):
    collector, refs = Collector(), list(Listing([str(archive)]))
    root = LocalStore(str(archive / "root"))
    with (
        open_for_index(root, run_id="run", lease_s=3600) as session,
        Assembler() as assembler,
    ):
        index_videos(
            refs,
            plan=plan,
            pools=pools,
            assembler=assembler,
            committer=collector,
            keeper=CaptionKeeper(session, plan.identity, every_s=3600),  # nothing takes so long
            progress=Progress(),
        )
    return collector.videos


def test_ray_keeps_the_stages_apart(archive, plan, pools, capsys):
    """Fused, a video that kills its decoder would take the model with it, and nothing streams."""
    captioned_dataset(list(Listing([str(archive)])), plan, pools).explain()
    physical = capsys.readouterr().out.rpartition("Physical Plan (Optimized)")[2]
    assert physical.count("ActorPoolMapOperator") == 2
    assert "ActorPoolMapOperator[MapBatches(DecodeStage)]" in physical
    assert "ActorPoolMapOperator[MapBatches(CaptionStage)]" in physical
    assert "->" not in physical


def test_every_listed_video_ends_once_with_all_its_clips(archive, plan, pools):
    videos = run(archive, plan, pools)
    assert len(videos) == N_VIDEOS + 1
    ended = sorted((outcome["status"], len(captions)) for outcome, captions in videos.values())
    assert ended == [("failed", 0)] + [("success", SHOTS_EACH)] * N_VIDEOS
    captions = {tuple(captions) for _, captions in videos.values() if captions}
    assert len(captions) == 1  # the same video says the same, whatever batch it was in


class CountedDecodeStage(DecodeStage):
    """Writes a byte into a pipe for every row that it has handed on."""

    def __call__(self, refs):
        with open(self.folder / "rows", "wb", buffering=0) as rows:
            for table in super().__call__(refs):
                yield table
                rows.write(b"." * table.num_rows)


class WaitingCaptionStage(CaptionStage):
    """Keeps its first batch until the other end of a pipe lets it go."""

    def __call__(self, rows):
        if not hasattr(self, "let_go"):
            with open(self.folder / "let_go", "rb") as pipe:
                self.let_go = pipe.read()
        return super().__call__(rows)


def test_decoding_goes_on_while_the_model_is_busy(archive, plan, pools, tmp_path, monkeypatch):
    """The model is not let go before all videos are decoded, so they are: else this never ends."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for name, stage in {
        "DecodeStage": CountedDecodeStage,
        "CaptionStage": WaitingCaptionStage,
    }.items():
        monkeypatch.setattr(compose, name, type(stage.__name__, (stage,), {"folder": tmp_path}))
    for pipe in ("rows", "let_go"):
        os.mkfifo(tmp_path / pipe)
    counted = 0

    def count_then_let_go():
        nonlocal counted
        rows = os.open(tmp_path / "rows", os.O_RDWR)  # stays open between the writers
        while counted < N_VIDEOS * (SHOTS_EACH + 1) + 1:
            counted += len(os.read(rows, 1))
        (tmp_path / "let_go").write_bytes(b"go on")
        os.close(rows)

    # One model, since another that started later would find nobody at the other end.
    one_model = replace(pools, caption=replace(pools.caption, largest=1))
    watcher = threading.Thread(target=count_then_let_go, daemon=True)
    watcher.start()
    assert len(run(archive, plan, one_model)) == N_VIDEOS + 1
    watcher.join()
    assert counted == N_VIDEOS * (SHOTS_EACH + 1) + 1


def test_the_queues_of_both_stages_are_seen(archive, plan, pools):
    """They come from the executor by names that Ray does not promise."""
    refs = list(Listing([str(archive)]))
    seen = [queued for _, queued in captioned_rows(refs, plan, pools)]
    assert {"decode", "caption"} in [set(queued) for queued in seen]


def test_ray_is_told_what_an_archive_needs(archive, plan, pools):
    """A silent hour is no failure, blocks are small, and a slow model stops the decoders."""
    captioned_dataset(list(Listing([str(archive)])), plan, pools)
    context = ray.data.DataContext.get_current()
    assert context.execution_no_progress_timeout_s == -1
    assert context.target_max_block_size <= 16 * 2**20
    assert context.output_backpressure_guard_release_interval_s >= 60


class DyingDecodeStage(DecodeStage):
    """Kills its worker once, in the middle of a video."""

    def __call__(self, refs):
        for number, table in enumerate(super().__call__(refs)):
            yield table
            if number == 1 and not self.last_words.exists():
                self.last_words.touch()
                os.kill(os.getpid(), signal.SIGKILL)


class DyingCaptionStage(CaptionStage):
    """Kills its actor once, with a batch in its hands."""

    def __call__(self, rows):
        if not self.last_words.exists():
            self.last_words.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(rows)


@pytest.mark.parametrize("stage", [DyingDecodeStage, DyingCaptionStage])
def test_a_worker_that_is_killed_costs_no_row_and_doubles_none(
    archive, plan, pools, stage, tmp_path, monkeypatch
):
    last_words = tmp_path / "last_words"
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know no test modules
    dying = type(stage.__name__, (stage,), {"last_words": last_words})
    monkeypatch.setattr(compose, stage.__name__.removeprefix("Dying"), dying)
    videos = run(archive, plan, pools)
    assert last_words.exists()
    ended = sorted((outcome["status"], len(captions)) for outcome, captions in videos.values())
    assert ended == [("failed", 0)] + [("success", SHOTS_EACH)] * N_VIDEOS
