"""A listing of a million objects of a real S3 server: how soon the first video, how much memory.

    PYTHONPATH=tests python infra/benchmarks/million_objects.py [--objects 1000000]

SeaweedFS on this machine holds that many objects called as videos are, all empty but the first,
which is one. First ``flexivideo index`` is run on them until its first commit, and stopped: when
the listing began to give, when the first video was being decoded, what the driver held. Then the
listing alone is worked through as a run does it, in windows compared with the dataset: time, and
memory of that process after each tenth.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import numpy as np
import psutil
from cyclopts import run
from s3_server import client, seaweed
from synthetic_media import textured_shots, write_video

from jobs.peak_memory import peak_bytes
from pipeline.resume import Resume, windows
from pipeline.run_identity import RunIdentity
from pipeline.sources import Listing
from pipeline.store import LocalStore
from pipeline.store_settings import StoreSettings

MIB = 2**20
BUCKET = "million"
PUTS_AT_ONCE = 64
DECODING = "pipeline.decode_child"
KEYS = {"AWS_ACCESS_KEY_ID": "flexivideo-test", "AWS_SECRET_ACCESS_KEY": "secret"}
NOBODY = RunIdentity.of(segmenter={}, packing={}, model={}, prompt={}, limits={})


def main(*, objects: int = 1_000_000, watch_s: float = 60.0) -> None:
    """Measure.

    Args:
        objects: how many.
        watch_s: how long the run is watched after its first commit, seconds.
    """
    os.environ.update(KEYS)
    with tempfile.TemporaryDirectory() as folder, seaweed(Path(folder)) as endpoint:
        store = client(endpoint)
        store.call_s3("create_bucket", Bucket=BUCKET)
        video = write_video(
            Path(folder, "first.mp4"), textured_shots(np.random.default_rng(0), 2, 40)
        )
        store.pipe_file(f"{BUCKET}/0/first.mp4", video.read_bytes())
        begun_s = time.monotonic()
        asyncio.run(put_empty(filer_address(), objects - 1))
        print(f"{objects:,} objects put in {time.monotonic() - begun_s:.0f} s", flush=True)
        index(endpoint, Path(folder, "root"), watch_s)
        list_all(endpoint, Path(folder, "nothing"), objects)


def filer_address() -> str:
    """Where SeaweedFS takes files without signatures, which costs a tenth of S3's way in."""
    for process in psutil.Process().children():
        for word in process.cmdline():
            if word.startswith("-filer.port="):
                return f"http://127.0.0.1:{word.removeprefix('-filer.port=')}"
    raise RuntimeError("SeaweedFS is not running")


async def put_empty(filer: str, n_objects: int) -> None:
    """So many empty objects, a thousand a folder."""
    numbers = iter(range(n_objects))

    async def put_some(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            path = f"/buckets/{BUCKET}/{1 + number // 1000:05}/{number % 1000:03}.mp4"
            async with session.put(filer + path, data=b"") as reply:
                if not reply.ok:
                    raise RuntimeError(f"the server said {await reply.text()}")

    connector = aiohttp.TCPConnector(limit=PUTS_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(put_some(session) for _ in range(PUTS_AT_ONCE)))


def index(endpoint: str, root: Path, watch_s: float) -> None:
    """Run the job on it all, from the start to some time after its first commit."""
    command = [sys.executable, "-m", "jobs.index", f"s3://{BUCKET}", "--out", str(root)]
    command += ["--endpoint-url", endpoint, "--every-s", "1"]
    begun_s = time.monotonic()
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    driver, decoding_s, committed_s = psutil.Process(job.pid), 0.0, 0.0
    held: list[int] = []
    while not committed_s or time.monotonic() - begun_s < committed_s + watch_s:
        assert job.poll() is None, "the run ended"
        time.sleep(0.1)
        with suppress(psutil.Error):
            workers = driver.children(recursive=True)
            if not decoding_s and any(DECODING in " ".join(w.cmdline()) for w in workers):
                decoding_s = time.monotonic() - begun_s
            memory = driver.memory_info()
            if committed_s:
                held.append(memory.rss - memory.shared)
        if not committed_s and len(list(root.glob("videos/*"))) > 1:
            committed_s = time.monotonic() - begun_s
    job.terminate()
    job.wait()
    tenth = max(1, len(held) // 10)
    print(
        f"index: a decoder at work after {decoding_s:.1f} s, a first commit after "
        f"{committed_s:.1f} s; the driver held {max(held[:tenth]) / MIB:.0f} MiB then and "
        f"{max(held[-tenth:]) / MIB:.0f} MiB {watch_s:.0f} s later",
        flush=True,
    )


def list_all(endpoint: str, root: Path, objects: int) -> None:
    """Work through the listing as a run does, without doing anything."""
    settings = StoreSettings(endpoint_url=endpoint).settled()
    listing = Listing([f"s3://{BUCKET}"], settings)
    begun_s, listed, told = time.monotonic(), 0, 1
    for window in windows(listing, Resume(LocalStore(str(root)), NOBODY)):
        listed += len(window)
        if listed >= told * objects // 10:
            print(
                f"{listed:,} listed after {time.monotonic() - begun_s:.1f} s, peak "
                f"{peak_bytes() / MIB:.0f} MiB",
                flush=True,
            )
            told += 1
    assert listed == objects, listed


if __name__ == "__main__":
    run(main)
