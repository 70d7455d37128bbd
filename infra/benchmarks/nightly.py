"""Finding tonight's 1,000 videos among 1,000,000 that are done: time and memory.

    python infra/benchmarks/nightly.py [--done 1000000 --new 1000 --gone 1000]

Lays out the videos table of an archive on a disk, as some fifty commits would have, then compares a
listing with it in a process of its own, as a night does: what is undone, what is gone. The listing
itself is made up, and timed alone, so that it can be taken away.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from cyclopts import run

from jobs.peak_memory import peak_bytes
from pipeline.identity import commit_id, video_id
from pipeline.records import VideoRef
from pipeline.resume import Resume, windows
from pipeline.run_identity import RunIdentity
from pipeline.schemas import VIDEOS
from pipeline.source_presence import SeenVideos
from pipeline.store import LocalStore
from pipeline.tables import part_name, write_table

MIB = 2**20
ROWS_A_COMMIT = 20_000
FOLDER = "s3://archive/"
IDENTITY = RunIdentity.of(segmenter={}, packing={}, model={}, prompt={}, limits={})


def refs(first: int, end: int) -> Iterator[VideoRef]:
    """Made-up objects by number, with ETags as S3 has them."""
    for number in range(first, end):
        uri, etag = f"{FOLDER}2026/{number:08}.mp4", f"{number:032x}"
        yield VideoRef(uri=uri, version=etag, video_id=video_id(uri, etag), size_bytes=1 << 20)


def lay_out(store: LocalStore, n_done: int) -> None:
    """The videos table of an archive that is done."""
    now = datetime.now(UTC)
    for sequence, first in enumerate(range(0, n_done, ROWS_A_COMMIT)):
        done = list(refs(first, min(first + ROWS_A_COMMIT, n_done)))
        commit = commit_id("run", sequence)
        same = {
            "status": "success",
            "container": "mov,mp4,m4a,3gp,3g2,mj2",
            "codec": "h264",
            "duration_s": 61.5,
            "timestamps_synthesised": False,
            "sample_fps": 2.0,
            "run_id": "run",
            "commit_id": commit,
            "scenes_commit_id": commit,
            "committed_at": now,
        } | {
            name: getattr(IDENTITY, name)
            for name in ("segmenter_id", "packing_id", "model_id", "prompt_id", "limits_id")
        }
        own = {
            name: [getattr(ref, name) for ref in done] for name in ("video_id", "uri", "version")
        }
        columns = [
            pa.array(own[field.name], field.type)
            if field.name in own
            else pa.repeat(pa.scalar(same.get(field.name, _zero(field)), field.type), len(done))
            for field in VIDEOS
        ]
        with store.staging_file() as file:
            write_table(pa.Table.from_arrays(columns, schema=VIDEOS), file)
            store.create_if_absent(f"videos/{part_name(sequence)}", file)


def _zero(field: pa.Field) -> int | None:
    return None if field.nullable else 0


def night(root: str, n_done: int, n_new: int, n_gone: int) -> None:
    """Compare; prints what it took as JSON."""

    def listing() -> Iterator[VideoRef]:
        return refs(n_gone, n_done + n_new)

    before_s = time.perf_counter()
    deque(listing(), maxlen=0)
    listed_s = time.perf_counter() - before_s
    store, seen, base = LocalStore(root), SeenVideos(), peak_bytes()
    start_s = time.perf_counter()
    resume = Resume(store, IDENTITY)
    found = sum(len(window) for window in windows(seen.of(listing()), resume))
    presence = seen.presence(store, [FOLDER])
    took_s = time.perf_counter() - start_s - listed_s
    assert (found, len(presence.gone)) == (n_new, n_gone)
    print(
        json.dumps(
            {
                "seconds": took_s,
                "peak_mib": peak_bytes() / MIB,
                "grown_mib": (peak_bytes() - base) / MIB,
            }
        )
    )


def main(
    *, done: int = 1_000_000, new: int = 1_000, gone: int = 1_000, root: str | None = None
) -> None:
    """Lay out an archive, compare in another process, print.

    Args:
        done: videos that are done.
        new: videos that are listed and not done.
        gone: videos that are done and not listed.
        root: where the archive is laid out already; then it is compared here.
    """
    if root:
        night(root, done, new, gone)
        return
    with tempfile.TemporaryDirectory() as folder:
        lay_out(LocalStore(folder), done)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
        sizes = [f"--done={done}", f"--new={new}", f"--gone={gone}"]
        command = [sys.executable, __file__, f"--root={folder}", *sizes]
        took = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    print(
        f"{done:,} videos done ({size / MIB:.0f} MiB of rows), {new:,} new and {gone:,} gone found "
        f"in {took['seconds']:.1f} s beside the listing, peak {took['peak_mib']:.0f} MiB, of which "
        f"{took['grown_mib']:.0f} MiB since the imports"
    )


if __name__ == "__main__":
    run(main)
