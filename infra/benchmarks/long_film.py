"""Memory of the job against the length of a film.

    python infra/benchmarks/long_film.py FILM [--hours 1 --hours 10]

Makes films of those lengths by repeating FILM's packets (nothing is encoded), indexes each with the
embedded model, and prints the largest resident memory of every kind of process, without the pages
of the shared object store, which are counted apart. Memory that follows the length is a defect: the
decode worker, its child and the driver must agree within 10 % + 100 MB.
"""

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import av
import psutil
from cyclopts import run

SAMPLE_INTERVAL_S = 0.5
MIB = 2**20
SHARED_MEMORY = "/dev/shm"

# What stands in a process's command line, by what we call it.
KINDS = {
    "decode child": "pipeline.decode_child",
    "decode worker": "DecodeStage",
    "model actor": "CaptionStage",
}


def main(film: Path, *, hours: list[float] | None = None) -> None:
    """Measure.

    Args:
        film: a video to repeat.
        hours: lengths to compare.
    """
    with tempfile.TemporaryDirectory() as folder:
        for length in hours or [1.0, 10.0]:
            long_film = Path(folder, f"{length:g}h{film.suffix}")
            made_s = repeat(film, long_film, length * 3600)
            peaks, summary = index(long_film, Path(folder, f"index-{length:g}h"))
            long_film.unlink()
            figures = ", ".join(f"{kind} {peak / MIB:.0f}" for kind, peak in sorted(peaks.items()))
            print(
                f"{made_s / 3600:.2f} h: MiB at most: {figures}; {summary['by_status']}, "
                f"{summary['n_scenes']} scenes, {summary['n_clips']} clips, "
                f"{summary['real_time_factor']:.0f} x real time",
                flush=True,
            )


def repeat(source: Path, target: Path, length_s: float) -> float:
    """Write the source's video packets again and again; returns the length, seconds."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        time_base = stream.time_base
        packets = [packet for packet in container.demux(stream) if packet.dts is not None]
        period = max(p.pts + (p.duration or 0) for p in packets) - min(p.dts for p in packets)
        times = -(-round(length_s / time_base) // period)
        with av.open(str(target), "w") as out:
            copy = out.add_stream_from_template(stream)
            for number in range(times):
                for packet in packets:
                    again = av.Packet(bytes(packet))
                    again.pts = packet.pts + number * period
                    again.dts = packet.dts + number * period
                    again.duration, again.is_keyframe = packet.duration, packet.is_keyframe
                    again.time_base, again.stream = time_base, copy
                    out.mux(again)
    return float(times * period * time_base)


def index(film: Path, root: Path) -> tuple[dict[str, int], dict]:
    """Index a film in a process of its own; returns peaks in bytes by kind, and the summary."""
    command = [sys.executable, "-m", "jobs.index", str(film), "--out", str(root), "--json"]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peaks: dict[str, int] = {}
    while job.poll() is None:
        with suppress(psutil.Error):
            driver = psutil.Process(job.pid)
            _note(peaks, "driver", driver)
            for process in driver.children(recursive=True):
                with suppress(psutil.Error):
                    line = " ".join(process.cmdline())
                    for kind, mark in KINDS.items():
                        if mark in line:
                            _note(peaks, kind, process)
        used = psutil.disk_usage(SHARED_MEMORY).used
        peaks["object store"] = max(peaks.get("object store", 0), used)
        with suppress(subprocess.TimeoutExpired):
            job.wait(timeout=SAMPLE_INTERVAL_S)
    assert job.stdout is not None
    return peaks, json.loads(job.stdout.read().splitlines()[-1])


def _note(peaks: dict[str, int], kind: str, process: psutil.Process) -> None:
    memory = process.memory_info()
    peaks[kind] = max(peaks.get(kind, 0), memory.rss - memory.shared)


if __name__ == "__main__":
    run(main)
