"""Train the embedded checkpoint from nothing, on rendered clips alone, by the fine-tuning job.

    python -m jobs.train_embedded --out embedded

Three runs, each of which goes on where it was stopped. The first sees single scenes, in which all
that moves is seen moving; the second clips as ATS cuts them; the third also draws the vectors of
clips and captions together, so that text finds clips. Every clip is rendered from its number, and
seeds are fixed. At the end stand the figures of the model card for rendered clips; ``python -m
jobs.embedded_accuracy FILE...`` makes them for footage. The result, to be copied to
``flexivideo/embedded``, is in ``<out>/vectors/model``.
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

MUON_LR, LAST_MUON_LR = 0.005, 0.003
CONTRAST_WEIGHT = 0.1
BATCH_CLIPS, BATCH_TOKENS = 64, 16384
DTYPE = "float16"

# Between the runs, so that none sees a clip of another.
SEED_STEP = 1_000


def train_embedded(
    *,
    out: Path,
    scene_steps: int = 2400,
    clip_steps: int = 700,
    vector_steps: int = 220,
    seed: int = 0,
    workers: int = 2,
) -> None:
    """Train, save, measure.

    Args:
        out: folder of the runs.
        scene_steps: optimizer steps of the first run, of 64 clips each.
        clip_steps: of the second.
        vector_steps: of the third.
        seed: of weights and clips.
        workers: processes that train, each with a thread, beside one each that renders.
    """
    since, start = time.monotonic(), out / "start"
    if not (start / "config.json").is_file():
        processor = make_processor()
        make_model(processor, seed=seed).save_pretrained(start)
        processor.save_pretrained(start)

    def run(name: str, model: Path, number: int, steps: int, *, lr: float, contrast: float) -> Path:
        settings = FinetuneSettings(
            model=str(model.absolute()),
            optimization=OptimizationSettings(
                steps=steps,
                global_batch=BATCH_CLIPS,
                optimizer="muon",
                lr=lr,
                weight_decay=0.01,
                contrast_weight=contrast,
                seed=seed,
            ),
            run=RunSettings(
                workers=workers, threads=1, batch_tokens=BATCH_TOKENS, save_steps=100, dtype=DTYPE
            ),
        )
        examples = RenderedExamples(
            n_examples=steps * BATCH_CLIPS,
            seed=seed + SEED_STEP * number,
            in_one_scene=number == 0,
        )
        run_on_examples(examples, None, settings, out=out / name)
        return out / name / "model"

    model = run("scenes", start, 0, scene_steps, lr=MUON_LR, contrast=0.0)
    model = run("clips", model, 1, clip_steps, lr=MUON_LR, contrast=0.0)
    model = run("vectors", model, 2, vector_steps, lr=LAST_MUON_LR, contrast=CONTRAST_WEIGHT)
    print(json.dumps({"wall_s": round(time.monotonic() - since)}))
    print(json.dumps(measure_rendered(str(model)), indent=1))


if __name__ == "__main__":
    from cyclopts import run

    run(train_embedded)
