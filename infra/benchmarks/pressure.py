"""Memory when captioning is far slower than decoding: what waits, what is held, what is spilled.

    python infra/benchmarks/pressure.py FILE... [--object-store-mib 1024 --seconds 240]

A Ray head with a small object store indexes the videos with a model of random weights, which never
ends a caption of itself: decoding could go on a hundred times as fast. Every half second the store
is asked what it holds and what it has spilled, and each process what it has resident without the
store's pages. What was written in a given time is printed; the run is then stopped.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch
from cyclopts import run
from ray._private.internal_api import get_memory_info_reply, get_state_from_address
from ray.exceptions import RaySystemError

from flexivideo.checkpoints import load_model
from flexivideo.modeling_flexivideo import FlexiVideoForConditionalGeneration
from flexivideo.visual_spec import EMBEDDED_CHECKPOINT

# On this machine alone; read when Ray starts.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

MIB = 2**20
TICK_S, START_S = 0.5, 60.0
KINDS = {
    "driver": "jobs.index",
    "decode child": "pipeline.decode_child",
    "decode worker": "DecodeStage",
    "model actor": "CaptionStage",
}


def main(
    *file: Path,
    object_store_mib: int = 1024,
    seconds: float = 240.0,
    max_new_tokens: int = 512,
    port: int = 6399,
) -> None:
    """Measure.

    Args:
        file: videos.
        object_store_mib: of the head.
        seconds: how long the run is watched at most.
        max_new_tokens: length of every caption.
        port: of the head.
    """
    ray = str(Path(sys.executable).with_name("ray"))
    with tempfile.TemporaryDirectory() as folder:
        slow = slow_model(Path(folder, "model"))
        head = [ray, "start", "--head", "--block", "--port", str(port), "--num-cpus", "2"]
        head += ["--object-store-memory", str(object_store_mib * MIB)]
        head += ["--include-dashboard", "false", "--temp-dir", f"{folder}/ray"]
        cluster = psutil.Popen(head, stdout=subprocess.DEVNULL)
        address = f"127.0.0.1:{port}"
        command = [sys.executable, "-m", "jobs.index", *map(str, file), "--out", f"{folder}/root"]
        command += ["--model", str(slow), "--max-new-tokens", str(max_new_tokens)]
        try:
            state = joined(address)
            job = psutil.Popen(command, env=os.environ | {"RAY_ADDRESS": address})
            peaks = watch(job, cluster, state, seconds)
            with suppress(psutil.NoSuchProcess):  # it has ended
                job.send_signal(signal.SIGTERM)
            job.wait()
        finally:  # all that is ours, and nothing else
            for process in [*cluster.children(recursive=True), cluster]:
                with suppress(psutil.Error):
                    process.kill()
    for name, most in sorted(peaks.items()):
        print(f"{name}: {most / MIB:.0f} MiB")


def slow_model(folder: Path) -> Path:
    """The embedded architecture with weights drawn anew."""
    torch.manual_seed(0)
    model = FlexiVideoForConditionalGeneration(load_model(None, device="cpu").config)
    model.save_pretrained(folder)
    for name in ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json"):
        if (EMBEDDED_CHECKPOINT / name).exists():
            shutil.copy(EMBEDDED_CHECKPOINT / name, folder / name)
    return folder


def joined(address: str) -> Any:
    """The state of a cluster, as soon as there is one."""
    end_s = time.monotonic() + START_S
    while True:
        try:
            state = get_state_from_address(address)
            get_memory_info_reply(state)
            return state
        except (RaySystemError, AssertionError):  # no head yet, or no node
            if time.monotonic() > end_s:
                raise
            time.sleep(TICK_S)


def watch(job: psutil.Popen, cluster: psutil.Popen, state: Any, seconds: float) -> dict[str, float]:
    """The largest of each, bytes, until the time is over."""
    peaks: dict[str, float] = defaultdict(float)
    end_s = time.monotonic() + seconds
    while job.poll() is None and time.monotonic() < end_s:
        stats = get_memory_info_reply(state).store_stats
        note(peaks, "object store", stats.object_store_bytes_used)
        note(peaks, "spilled", stats.spilled_bytes_total)
        note(peaks, "through the object store", stats.cumulative_created_bytes)
        for process in [job, *cluster.children(recursive=True)]:
            with suppress(psutil.Error):
                line, memory = " ".join(process.cmdline()), process.memory_info()
                for kind, mark in KINDS.items():
                    if mark in line:
                        note(peaks, kind, memory.rss - memory.shared)
        time.sleep(TICK_S)
    return peaks


def note(peaks: dict[str, float], name: str, value: float) -> None:
    """Keep the largest."""
    peaks[name] = max(peaks[name], float(value))


if __name__ == "__main__":
    run(main)
