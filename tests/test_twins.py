"""The same bytes under another name: its rows are taken over, and nothing but the same bytes'."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pytest
from dataset_helpers import make_identity, make_ref, video_rows, writing
from decode_helpers import make_plan
from synthetic_media import textured_shots, write_video

from flexivideo.errors import DatasetError
from pipeline import video_rows as decoding
from pipeline.assembly import Assembler
from pipeline.identity import clip_id, scene_id
from pipeline.records import REF_SCHEMA, Twin, VideoRef
from pipeline.resume import Resume
from pipeline.sources import local_ref
from pipeline.store import LocalStore
from pipeline.views import connect

OLD, NEW = make_ref("old", "7-7"), make_ref("new", "7-7")
DIGEST = "d" * 64


@pytest.fixture
def store(tmp_path):
    """A dataset that holds the old name."""
    store = LocalStore(str(tmp_path / "root"))
    with writing(store) as committer, Assembler() as assembler:
        committer.add(*assembler.push(video_rows(OLD, content_digest=DIGEST, codec="h264")))
        committer.commit()
    return store


def twins_of(store, refs, **how):
    return [ref.twin for ref in Resume(store, make_identity(), **how).undone(refs)]


def take_over(store, twin):
    rows = video_rows(NEW, n_clips=0, content_digest=DIGEST, twin=twin and vars(twin))
    with writing(store, run_id="later") as committer, Assembler() as assembler:
        committer.add(*assembler.push(rows))
        committer.commit()


def rows(store, table, ref, left):
    """Rows of a video, less columns that are its own."""
    connection = connect(store)
    found = connection.sql(f"FROM {table} WHERE video_id = '{ref.video_id}'").to_arrow_table()
    kept = [name for name in found.schema.names if name not in left]
    return found.select(kept).to_pylist()


def test_a_twin_has_the_same_version_and_settings_and_ended_well(store):
    (twin,) = twins_of(store, [NEW], reuse_renamed=True)
    assert (twin.video_id, twin.content_digest) == (OLD.video_id, DIGEST)
    assert twins_of(store, [NEW]) == [None]  # unless it is asked for
    assert twins_of(store, [make_ref("new", "8-8")], reuse_renamed=True) == [None]
    assert twins_of(store, [OLD], reuse_renamed=True) == []  # it is done
    other = Resume(store, make_identity(name="other"), reuse_renamed=True).undone([NEW])
    assert [ref.twin for ref in other] == [None]


def test_rows_are_the_twins_under_ids_of_its_own(store):
    take_over(store, *twins_of(store, [NEW], reuse_renamed=True))
    own = {"video_id", "uri", "commit_id", "scenes_commit_id", "run_id", "committed_at"}
    ids = {"scene_id", "clip_id"}
    for table in ("videos", "scenes", "clips", "embeddings", "thumbnails"):
        old, new = (rows(store, table, ref, own | ids) for ref in (OLD, NEW))
        assert old
        assert sorted(map(repr, new)) == sorted(map(repr, old))
    identity = make_identity()
    settings = (
        identity.segmenter_id,
        identity.packing_id,
        identity.model_id,
        identity.prompt_id,
    )
    for scene in rows(store, "scenes", NEW, ()):
        expected = scene_id(NEW.video_id, identity.segmenter_id, scene["scene_index"])
        assert scene["scene_id"] == expected
    for clip in rows(store, "clips", NEW, ()):
        assert clip["clip_id"] == clip_id(NEW.video_id, *settings, clip["clip_index"])
    assert twins_of(store, [NEW], reuse_renamed=True) == []


def test_rows_that_were_removed_by_hand_are_missed(store):
    (twin,) = twins_of(store, [NEW], reuse_renamed=True)
    for path in list(store.list("clips")):
        store.delete(path)
    with pytest.raises(DatasetError, match="by hand"):
        take_over(store, twin)


@pytest.fixture
def video(tmp_path, rng):
    return local_ref(str(write_video(tmp_path / "a.mp4", textured_shots(rng, 2, 20))))


def decoded(ref):
    return [batch.to_pylist()[0] for batch in decoding.video_rows(ref, "attempt", make_plan())]


def test_bytes_decide(video):
    content = Path(video.uri).read_bytes()
    twin = Twin(video_id="v", commit_id="c", content_digest=hashlib.sha256(content).hexdigest())
    (ended,) = decoded(replace(video, twin=twin))
    assert (ended["outcome"]["status"], ended["outcome"]["twin"]) == ("success", vars(twin))
    *clips, ended = decoded(replace(video, twin=replace(twin, content_digest=DIGEST)))
    assert (len(clips), ended["outcome"]["twin"]) == (2, None)
    assert ended["outcome"] == decoded(video)[-1]["outcome"]


def test_a_reference_travels_with_its_twin():
    ref = replace(NEW, twin=Twin(video_id="v", commit_id="c", content_digest=DIGEST))
    (row,) = pa.Table.from_pylist([asdict(ref)], schema=REF_SCHEMA).to_pylist()
    assert VideoRef.from_fields(row) == ref
