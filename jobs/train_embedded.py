"""Train the embedded checkpoint from nothing, on rendered clips alone, by the fine-tuning job.

    python -m jobs.train_embedded --out embedded

Two runs, each of which goes on where it was stopped: the first learns to say what is seen, the
second also draws the vectors of clips and captions together, so that text finds clips. Every clip
is rendered from its number, and seeds are fixed. At the end stand the figures of the model card for
rendered clips; ``python -m jobs.embedded_accuracy FILE...`` makes them for footage. The result, to
be copied to ``flexivideo/embedded``, is in ``<out>/vectors/model``.
"""

import json
import time
from pathlib import Path

from jobs.embedded_accuracy import measure_rendered
from jobs.embedded_architecture import make_model, make_processor
from jobs.finetuning.launch import run_on_examples
from jobs.finetuning.settings import FinetuneSettings, OptimizationSettings, RunSettings
from jobs.rendered_examples import RenderedExamples

__all__ = ["train_embedded"]

MUON_LR, SECOND_MUON_LR = 0.02, 0.006
CONTRAST_WEIGHT = 0.1
BATCH_CLIPS, BATCH_TOKENS = 64, 16384

# Of the second run's clips: none is seen twice.
SECOND_SEED_OFFSET = 1_000


def train_embedded(
    *, out: Path, steps: int = 2000, vector_steps: int = 400, seed: int = 0, workers: int = 2
) -> None:
    """Train, save, measure.

    Args:
        out: folder of both runs.
        steps: optimizer steps of the first run, of 64 clips each.
        vector_steps: of the second.
        seed: of weights and clips.
        workers: processes that train, each with a thread, beside one each that renders.
    """
    since, start = time.monotonic(), out / "start"
    if not (start / "config.json").is_file():
        processor = make_processor()
        make_model(processor, seed=seed).save_pretrained(start)
        processor.save_pretrained(start)
    words = _run(start, out / "words", steps, seed, workers, lr=MUON_LR)
    model = _run(
        words,
        out / "vectors",
        vector_steps,
        seed + SECOND_SEED_OFFSET,
        workers,
        lr=SECOND_MUON_LR,
        contrast_weight=CONTRAST_WEIGHT,
    )
    print(json.dumps({"wall_s": round(time.monotonic() - since)}))
    print(json.dumps(measure_rendered(str(model)), indent=1))


def _run(
    model: Path,
    out: Path,
    steps: int,
    seed: int,
    workers: int,
    *,
    lr: float,
    contrast_weight: float = 0.0,
) -> Path:
    """One run of the fine-tuning job; returns its result's folder."""
    settings = FinetuneSettings(
        model=str(model.absolute()),
        optimization=OptimizationSettings(
            steps=steps,
            global_batch=BATCH_CLIPS,
            optimizer="muon",
            lr=lr,
            weight_decay=0.01,
            contrast_weight=contrast_weight,
            seed=seed,
        ),
        run=RunSettings(
            workers=workers, threads=1, batch_tokens=BATCH_TOKENS, save_steps=100, dtype="float16"
        ),
    )
    examples = RenderedExamples(n_examples=steps * BATCH_CLIPS, seed=seed)
    run_on_examples(examples, None, settings, out=out)
    return out / "model"


if __name__ == "__main__":
    from cyclopts import run

    run(train_embedded)
