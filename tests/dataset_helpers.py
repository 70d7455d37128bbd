"""Rows as the model stage would hand them over, and a dataset to commit them to."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.assembly import Assembler
from pipeline.commit import Committer
from pipeline.identity import video_id
from pipeline.index_session import open_for_index
from pipeline.progress import STAGES
from pipeline.records import CAPTIONED_SCHEMA, VideoRef
from pipeline.resume import Resume
from pipeline.run_identity import RunIdentity
from pipeline.runs import note_settings
from pipeline.settings import CommitSettings, SegmentationSettings
from pipeline.store import Store

WIDTH = 8


class ManualClock:
    """UTC that moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def make_identity(limits: str = "default", **model: Any) -> RunIdentity:
    return RunIdentity.of(
        segmenter={"tau": 0.2},
        packing={"clip_s": 10},
        model={"name": "tiny"} | model,
        prompt={"prompt": "Describe."},
        limits={"name": limits},
    )


def make_ref(name: str, version: str = "1-1") -> VideoRef:
    uri = f"/archive/{name}.mp4"
    return VideoRef(uri=uri, version=version, video_id=video_id(uri, version), size_bytes=1)


def video_rows(
    ref: VideoRef,
    *,
    n_clips: int = 3,
    attempt: str = "first",
    n_errors: int = 0,
    **outcome: Any,
) -> pa.Table:
    """All rows of one attempt: clips of two one-second scenes, and the outcome."""
    key = {"uri": ref.uri, "version": ref.version, "video_id": ref.video_id, "attempt": attempt}
    key |= {"prompt": ref.prompt, "time_range": ref.time_range and asdict(ref.time_range)}
    blank = {f"{stage}_{kind}": 0.1 for stage in STAGES for kind in ("busy_s", "cpu_s")}
    rows = []
    for index in range(n_clips):
        failed = index < n_errors
        vector = np.random.default_rng(index).standard_normal(WIDTH)
        scenes = [_scene(number) for number in (2 * index, 2 * index + 1)]
        rows.append(
            key
            | blank
            | {
                "row_index": index,
                "kind": "clip",
                "clip": {
                    "clip_index": index,
                    "start_pts": scenes[0]["start_pts"],
                    "end_pts": scenes[1]["end_pts"],
                    "start_s": scenes[0]["start_s"],
                    "end_s": scenes[1]["end_s"],
                    "n_scenes": 2,
                    "n_frames": 4,
                    "n_visual_tokens": 12,
                    "boundary": "cut" if index else "start",
                },
                "scenes": scenes,
                "thumbnail": {"width": 2, "height": 1, "jpeg": b"jpeg"},
                "caption": None if failed else f"clip {index} of {ref.uri}",
                "caption_status": "error" if failed else "success",
                "caption_error": "too much" if failed else None,
                "n_caption_tokens": 5,
                "embedding": None if failed else (vector / np.linalg.norm(vector)).tolist(),
            }
        )
    ended = {
        "n_rows": n_clips,
        "status": "success",
        "timestamps_synthesised": False,
        "n_frames_decoded": 40 * n_clips,
        "n_frames_sampled": 4 * n_clips,
        "n_scenes": 2 * n_clips,
        "n_clips": n_clips,
        "n_visual_tokens": 12 * n_clips,
        "n_tries": 1,
        "duration_s": 2.0 * n_clips,
    } | outcome
    rows.append(key | blank | {"row_index": n_clips, "kind": "video", "outcome": ended})
    return pa.Table.from_pylist(rows, schema=CAPTIONED_SCHEMA)


def _scene(number: int) -> dict[str, Any]:
    return {
        "scene_index": number,
        "start_pts": 1000 * number,
        "end_pts": 1000 * (number + 1),
        "start_s": float(number),
        "end_s": float(number + 1),
        "n_frames": 2,
        "cut_delta": None if number == 0 else 1.5,
        "frame_deltas": [0.0, 0.1],
    }


def undone(store: Store, identity: RunIdentity, refs: Iterable[VideoRef]) -> list[VideoRef]:
    """What a run of that identity would do."""
    return Resume(store, identity).undone(list(refs))


@contextmanager
def writing(
    store: Store,
    *,
    run_id: str = "run",
    identity: RunIdentity | None = None,
    clock: ManualClock | None = None,
    **settings: Any,
) -> Iterator[Committer]:
    """A committer that holds the root."""
    clock = clock or ManualClock()
    with open_for_index(store, run_id=run_id, lease_s=3600, clock=clock) as session:
        yield Committer(
            session,
            identity=identity or make_identity(),
            settings=CommitSettings(**settings),
            sample_fps=2.0,
        )


def commit_videos(
    store: Store, refs: list[VideoRef], *, outcome: Mapping[str, Any] | None = None, **how: Any
) -> None:
    """One commit a video, each with this outcome."""
    with writing(store, **how) as committer, Assembler() as assembler:
        for ref in refs:
            for video in assembler.push(video_rows(ref, **(outcome or {}))):
                committer.add(video)
            committer.commit()


def identity_of(segmentation: SegmentationSettings) -> RunIdentity:
    """Identity of a run under this segmentation."""
    return RunIdentity.of(
        segmenter=asdict(segmentation), packing={}, model={}, prompt={}, limits={}
    )


def commit_under(store: Store, segmentation: SegmentationSettings, *refs: VideoRef) -> None:
    """Videos under a segmentation that the dataset can tell."""
    identity = identity_of(segmentation)
    with open_for_index(store, run_id="settings", lease_s=60) as session:
        note_settings(session, identity)
    commit_videos(store, list(refs), identity=identity)


def parts(root: Path, table: str) -> list[Path]:
    """The parts of a table, sorted."""
    return sorted((root / table).rglob("*.parquet"))
