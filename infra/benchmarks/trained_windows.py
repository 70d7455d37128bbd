"""Windows of two frames, of six, and the scenes of ATS: models trained alike, and what they learn.

    python infra/benchmarks/trained_windows.py --out FOLDER

The paper's comparison at the size of the embedded checkpoint. Each model begins with the same
weights, is trained by the fine-tuning job on the same rendered clips in the same order for as many
steps, and captions the same held-out clips; nothing but the windows differs. Two are trained side
by side, a core each. What is finished in FOLDER is not done again, and what was begun goes on.

Printed are means over the seeds, with their standard deviation: visual tokens of a clip, the most
memory of the process that trains and what captioning adds to a loaded model (the held-out frames
included), and by number of shots the share of right words (the mean over the attributes) and of
captions without a wrong word.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from cyclopts import App

from flexivideo.captioning import CaptionEngine
from flexivideo.plain_world.judgement import ATTRIBUTES
from jobs.embedded_accuracy import accuracy, captions
from jobs.finetuning.settings import RunSettings
from jobs.peak_memory import peak_bytes
from jobs.rendered_examples import RenderedExamples, held_out_clips, in_scenes, in_windows
from jobs.train_embedded import BATCH_CLIPS, from_nothing, train_on

SIDE_BY_SIDE = 2
N_SHOTS = (1, 2, 3)
MIB = 2**20
WINDOWS = {"fixed 2": 2, "fixed 6": 6, "scenes": None}

app = App(help="Models that differ in their windows alone, trained and compared.")


@app.default
def compare(*, out: Path, seeds: int = 3, steps: int = 80, clips: int = 200) -> None:
    """Train what is missing, print the table.

    Args:
        out: folder of all models.
        seeds: models of each kind.
        steps: of each training, of 64 clips each.
        clips: held-out clips of each number of shots.
    """
    cells = list(product(range(seeds), WINDOWS))
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        figures = list(pool.map(lambda cell: _cell(out, *cell, steps, clips), cells))
    print("| windows | visual tokens a clip | training, MiB | captioning, MiB | ", end="")
    print(" | ".join(f"words, {n}" for n in N_SHOTS), end=" | ")
    print(" | ".join(f"whole captions, {n}" for n in N_SHOTS), end=" |\n")
    print("|---" * (4 + 2 * len(N_SHOTS)) + "|")
    for windows in WINDOWS:
        own = [found for (_, kind), found in zip(cells, figures, strict=True) if kind == windows]
        sizes = [
            f"{mean(found[name] for found in own):.0f}"
            for name in ("n_visual_tokens", "training_mib", "captioning_mib")
        ]
        shares = [
            _spread([found[measured][str(n)] for found in own])
            for measured in ("words", "exact")
            for n in N_SHOTS
        ]
        print(f"| {windows} | {' | '.join(sizes + shares)} |")


@app.command
def train_one(*, out: Path, windows: str, seed: int, steps: int = 80, clips: int = 200) -> None:
    """Train one model, measure it, and note its figures in its folder.

    Args:
        out: its folder.
        windows: a key of WINDOWS.
        seed: of weights and clips.
        steps: of 64 clips each.
        clips: held-out clips of each number of shots.
    """
    examples = _examples(windows, seed, steps)
    run = RunSettings(workers=1, threads=1, save_steps=20, dtype="float32")
    start = from_nothing(out / "start", seed=seed)
    model = train_on(examples, start, out / "run", seed=seed, run=run)
    lines = (out / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    training = max(json.loads(line).get("peak_memory_bytes", 0) for line in lines)
    figures = {"training_mib": training / MIB} | _measure(model, windows, clips)
    partial = out / "figures.partial"
    partial.write_text(json.dumps(figures), encoding="utf-8")
    partial.replace(_done(out, clips))


def _measure(model: Path, windows: str, clips: int) -> dict[str, Any]:
    """Right answers on held-out clips, which are the same for all models."""
    torch.set_num_threads(1)
    engine = CaptionEngine.from_pretrained(str(model))
    base = peak_bytes()
    words, exact, tokens = {}, {}, []
    for n_shots in N_SHOTS:
        held_out = held_out_clips(engine.processor, clips, n_shots=n_shots)
        length = WINDOWS[windows]
        cut = [
            in_windows(clip, n_frames=length) if length else in_scenes(clip, tau=engine.spec.tau)
            for clip in held_out
        ]
        results = captions(engine, cut, str(model))
        found = accuracy(
            [(clip.truth, result.caption) for clip, result in zip(held_out, results, strict=True)]
        )
        exact[str(n_shots)] = found["exact"]["accuracy"]
        words[str(n_shots)] = mean(found[name]["accuracy"] for name in ATTRIBUTES if name in found)
        tokens += [engine.processor.n_visual_tokens(clip) for clip in cut]
    return {
        "n_visual_tokens": mean(tokens),
        "captioning_mib": (peak_bytes() - base) / MIB,
        "words": words,
        "exact": exact,
    }


def _cell(out: Path, seed: int, windows: str, steps: int, clips: int) -> dict[str, Any]:
    """:func:`train_one` in a process of its own, unless it was done before."""
    # Other clips, such as of another recipe, make another model.
    clips_digest = _examples(windows, seed, steps).digest[:8]
    folder = out / f"{windows.replace(' ', '_')}-{seed}-{clips_digest}"
    done = _done(folder, clips)
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "train-one", "--out", str(folder)]
        command += ["--windows", windows, "--seed", str(seed)]
        command += ["--steps", str(steps), "--clips", str(clips)]
        with open(folder / "log.txt", "a", encoding="utf-8") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
    found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    return found


def _examples(windows: str, seed: int, steps: int) -> RenderedExamples:
    return RenderedExamples(
        n_examples=steps * BATCH_CLIPS, seed=seed, window_frames=WINDOWS[windows]
    )


def _done(folder: Path, clips: int) -> Path:
    return folder / f"figures-{clips}.json"


def _spread(values: list[float]) -> str:
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


if __name__ == "__main__":
    app()
