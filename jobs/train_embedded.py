"""Train the embedded checkpoint from nothing, on rendered clips alone, by the fine-tuning job.

    python -m jobs.train_embedded --out embedded

Two runs, each of which goes on where it was stopped. The first sees single scenes, in which all
that moves is seen moving; the second clips as ATS cuts them, and draws the vectors of clips and
captions together, so that text finds clips. Every clip is rendered from its number, and seeds are
fixed. At the end stand the figures of the model card for rendered clips; ``python -m
jobs.embedded_accuracy FILE...`` makes them for footage. The result, to be copied to
``flexivideo/embedded``, is in ``<out>/clips/model``.
"""

import json
import time
from pathlib import Path

from jobs.embedded_accuracy import measure_rendered
from jobs.embedded_architecture import make_model, make_processor
from jobs.finetuning.launch import run_on_examples
from jobs.finetuning.settings import FinetuneSettings, OptimizationSettings, RunSettings
from jobs.finetuning.worker import FINISHED
from jobs.rendered_examples import RenderedExamples

__all__ = ["BATCH_CLIPS", "from_nothing", "train_embedded", "train_on"]

MUON_LR, WEIGHT_DECAY, CONTRAST_WEIGHT = 0.005, 0.01, 0.2
BATCH_CLIPS = 64

# Between the runs, so that none sees a clip of another.
SEED_STEP = 1_000


def train_embedded(
    *,
    out: Path,
    scene_steps: int = 1400,
    clip_steps: int = 1450,
    seed: int = 0,
    workers: int = 2,
) -> None:
    """Train, save, measure.

    Args:
        out: folder of the runs.
        scene_steps: optimizer steps of the first run, of 64 clips each.
        clip_steps: of the second.
        seed: of weights and clips.
        workers: processes that train, each with a thread, beside one each that renders.
    """
    # Small batches of clips of like lengths, since most of a large one would be padding.
    run = RunSettings(workers=workers, threads=1, batch_tokens=1024, dtype="float16")
    since = time.monotonic()

    def examples(number: int, steps: int) -> RenderedExamples:
        return RenderedExamples(
            n_examples=steps * BATCH_CLIPS,
            seed=seed + SEED_STEP * number,
            in_one_scene=number == 0,
        )

    model = from_nothing(out / "start", seed=seed)
    model = train_on(examples(0, scene_steps), model, out / "scenes", seed=seed, run=run)
    model = train_on(
        examples(1, clip_steps),
        model,
        out / "clips",
        seed=seed,
        run=run,
        contrast_weight=CONTRAST_WEIGHT,
    )
    print(json.dumps({"wall_s": round(time.monotonic() - since)}))
    print(json.dumps(measure_rendered(str(model)), indent=1))


def from_nothing(folder: Path, *, seed: int) -> Path:
    """A checkpoint that has learned nothing, unless it is there already; returns its folder."""
    if not (folder / "config.json").is_file():
        processor = make_processor()
        make_model(processor, seed=seed).save_pretrained(folder)
        processor.save_pretrained(folder)
    return folder


def train_on(
    examples: RenderedExamples,
    model: Path,
    out: Path,
    *,
    seed: int,
    run: RunSettings,
    contrast_weight: float = 0.0,
) -> Path:
    """One run of the fine-tuning job over all the examples; returns its result's folder."""
    settings = FinetuneSettings(
        model=str(model.absolute()),
        optimization=OptimizationSettings(
            steps=len(examples) // BATCH_CLIPS,
            global_batch=BATCH_CLIPS,
            optimizer="muon",
            lr=MUON_LR,
            weight_decay=WEIGHT_DECAY,
            contrast_weight=contrast_weight,
            seed=seed,
        ),
        run=run,
    )
    run_on_examples(examples, None, settings, out=out)
    return out / FINISHED


if __name__ == "__main__":
    from cyclopts import run

    run(train_embedded)
