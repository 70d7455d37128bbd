"""How often captions are right, word by word: the figures of the model card.

On held-out rendered shots, or on footage through the pipeline's own stages:

    python -m jobs.embedded_accuracy
    python -m jobs.embedded_accuracy ~/videos/*.mp4
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flexivideo.captioning import CaptionEngine
from flexivideo.plain_words import ATTRIBUTES, Judgement, Score, judge
from flexivideo.prompts import caption_prompt
from flexivideo.visual_spec import VisualSpec
from jobs.training_clips import HELD_OUT_SEED, held_out_examples
from pipeline.caption_stage import CaptionPlan, CaptionStage
from pipeline.container import open_video
from pipeline.decode import DecodeReport, timed_frames
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.local_uri import to_path, to_uri
from pipeline.orientation import UprightScaler
from pipeline.sampling import InstantSampler
from pipeline.settings import (
    CaptionSettings,
    DecodeSettings,
    PackingSettings,
    SegmentationSettings,
)
from pipeline.sources import local_ref
from pipeline.video_rows import video_rows

__all__ = ["accuracy", "footage_captions", "measure_rendered"]

MAX_NEW_TOKENS = 48
BATCH_TOKENS = 8192

Answer = tuple[Judgement, str | None]


def measure(*file: Path, model: str | None = None, shots: int = 1000) -> None:
    """Print accuracy and balanced accuracy by attribute, beside the majority answer's.

    Args:
        file: footage; none: held-out rendered shots.
        model: checkpoint; none: the embedded one.
        shots: how many rendered shots.
    """
    if file:
        answers = [answer for path in file for answer in footage_captions(path, model)]
        print(json.dumps(accuracy(answers), indent=1))
    else:
        print(json.dumps(measure_rendered(model, n_shots=shots), indent=1))


def measure_rendered(
    model: str | None, *, n_shots: int, seed: int = HELD_OUT_SEED
) -> dict[str, Any]:
    """:func:`accuracy` on rendered single shots that training never saw."""
    engine = CaptionEngine.from_pretrained(model)
    examples = held_out_examples(engine.processor, n_shots, seed=seed)
    results = engine.caption(
        [example.clip for example in examples],
        prompt=caption_prompt(model),
        max_new_tokens=MAX_NEW_TOKENS,
        max_batch_tokens=BATCH_TOKENS,
    )
    return accuracy(
        [(example.truth, result.caption) for example, result in zip(examples, results, strict=True)]
    )


def footage_captions(path: Path, model: str | None) -> Iterator[Answer]:
    """What is true of each clip of a file, and its caption by the pipeline's own stages."""
    spec = VisualSpec.from_pretrained(model)
    plan = DecodePlan(
        segmentation=Segmentation.of(SegmentationSettings(), spec),
        packing=PackingSettings(),
        decode=DecodeSettings(thumbnails=False),
        spec=spec,
    )
    rows = pa.Table.from_batches(list(video_rows(local_ref(to_uri(str(path))), "measure", plan)))
    stage = CaptionStage(
        CaptionPlan(
            settings=CaptionSettings(model=model, max_new_tokens=MAX_NEW_TOKENS),
            prompt=caption_prompt(model),
            max_pixels=None,
        ),
        threads=1,
    )
    times_s, frames = _sampled_frames(path, plan)
    for row in stage(rows).to_pylist():
        if row["kind"] == "clip":
            clip = row["clip"]
            inside = (times_s >= clip["start_s"] - 1e-6) & (times_s < clip["end_s"] - 1e-6)
            yield judge(frames[inside], times_s[inside]), row["caption"]


def accuracy(answers: Sequence[Answer]) -> dict[str, Any]:
    """By attribute, among the clips where it is scored: how many are right.

    ``balanced`` is the mean over the true words; ``majority`` what always saying the commonest word
    would reach. ``exact`` counts whole captions among the clips where every attribute is scored.
    """
    figures: dict[str, Any] = {"clips": len(answers)}
    exact: list[bool] = []
    scores = [truth.score(caption) for truth, caption in answers]
    for name in ATTRIBUTES:
        seen: Counter[str] = Counter()
        right: Counter[str] = Counter()
        for (truth, _), score in zip(answers, scores, strict=True):
            if score[name] is not Score.NOT_SCORED:
                word = getattr(truth.words, name)
                seen[word] += 1
                right[word] += score[name] is Score.RIGHT
        if seen:
            figures[name] = {
                "accuracy": round(right.total() / seen.total(), 3),
                "balanced": round(float(np.mean([right[w] / seen[w] for w in seen])), 3),
                "majority": round(max(seen.values()) / seen.total(), 3),
                "scored": seen.total(),
                "by_word": {word: f"{right[word]}/{seen[word]}" for word in sorted(seen)},
            }
    for score in scores:
        if Score.NOT_SCORED not in score.values():
            exact.append(all(value is Score.RIGHT for value in score.values()))
    figures["exact"] = {"accuracy": round(sum(exact) / max(len(exact), 1), 3), "scored": len(exact)}
    return figures


def _sampled_frames(path: Path, plan: DecodePlan) -> tuple[np.ndarray, np.ndarray]:
    """Times [T] in seconds from the first frame, and sampled frames at the model's size."""
    times_s, frames = [], []
    with open(to_path(to_uri(str(path))), "rb") as file, open_video(file, threads=1) as video:
        sampler = InstantSampler(sample_fps=plan.segmentation.sample_fps, time_base=video.time_base)
        scaler, report = None, DecodeReport()
        for frame in timed_frames(video, report):
            scaler = scaler or UprightScaler(frame.image, video.pixel_aspect)
            if sampler.holds_instant(frame.pts, frame.end_pts):
                size = plan.spec.frame_size(scaler.height_px, scaler.width_px)
                times_s.append(float((frame.pts - (report.first_pts or 0)) * video.time_base))
                frames.append(scaler.scale(frame.image, *size))
    return np.array(times_s), np.stack(frames)


if __name__ == "__main__":
    from cyclopts import run

    run(measure)
