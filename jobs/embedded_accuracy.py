"""How often captions are right, word by word: the figures of the model card.

On held-out rendered clips, or on footage through the pipeline's own stages (which takes OpenCV, to
see which way things move: ``pip install 'flexivideo[measure]'``):

    python -m jobs.embedded_accuracy
    python -m jobs.embedded_accuracy ~/videos/*.mp4
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flexivideo.captioning import CaptionEngine, CaptionResult
from flexivideo.plain_world.clips import RenderedClip
from flexivideo.plain_world.judgement import ATTRIBUTES, Judgement, Score, judge
from flexivideo.plain_world.words import (
    NOTHING,
    NOWHERE,
    VOCABULARY,
    Words,
    caption_of,
    parse_caption,
)
from flexivideo.prompts import caption_prompt
from flexivideo.scene_patches import ClipInput
from flexivideo.visual_spec import VisualSpec
from jobs.rendered_examples import HELD_OUT_SEED, held_out_clips, in_scenes
from pipeline.caption_stage import CaptionPlan, CaptionStage
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.decode_settings import DecodeSettings
from pipeline.local_uri import to_uri
from pipeline.settings import CaptionSettings, PackingSettings, SegmentationSettings
from pipeline.sources import local_ref
from pipeline.video_rows import video_rows

__all__ = ["accuracy", "captions", "footage_answers", "measure_rendered", "recall_at_1"]

MAX_NEW_TOKENS = 96
BATCH_TOKENS = 8192

# How many clips captions are looked for among, all of which are described differently.
N_GALLERY = 500

Answer = tuple[Judgement, str | None]


def measure(*file: Path, model: str | None = None, clips: int = 1000) -> None:
    """Print accuracy and balanced accuracy by attribute, beside the majority answer's.

    Args:
        file: footage; none: held-out rendered clips.
        model: checkpoint; none: the embedded one.
        clips: how many rendered clips of one shot; of two and of three half as many.
    """
    if file:
        answers = [answer for path in file for answer in footage_answers(path, model)]
        figures = accuracy(answers)
    else:
        figures = measure_rendered(model, n_clips=clips)
    print(json.dumps(figures, indent=1))


def measure_rendered(
    model: str | None, *, n_clips: int = 1000, seed: int = HELD_OUT_SEED
) -> dict[str, Any]:
    """:func:`accuracy` by number of shots, and :func:`recall_at_1`, on clips never trained on."""
    engine = CaptionEngine.from_pretrained(model)
    figures: dict[str, Any] = {}
    for n_shots, number in ((1, n_clips), (2, n_clips // 2), (3, n_clips // 2)):
        clips = held_out_clips(engine.processor, number, n_shots=n_shots, seed=seed)
        cut = [in_scenes(clip, tau=engine.spec.tau) for clip in clips]
        results = captions(engine, cut, model)
        figures[f"{n_shots} shots"] = accuracy(
            [(clip.truth, result.caption) for clip, result in zip(clips, results, strict=True)]
        )
    figures["recall_at_1"] = recall_at_1(engine, model, seed=seed + 1)
    return figures


def recall_at_1(
    engine: CaptionEngine, model: str | None, *, n_clips: int = N_GALLERY, seed: int = HELD_OUT_SEED
) -> dict[str, Any]:
    """How often a true caption's vector is nearest to its own clip's, among clips of others."""
    chosen: dict[str, RenderedClip] = {}
    for more in count():
        for clip in held_out_clips(engine.processor, n_clips, seed=seed + more):
            chosen.setdefault(caption_of(clip.truth.words), clip)
        if len(chosen) >= n_clips:
            break
    texts = list(chosen)[:n_clips]
    cut = [in_scenes(chosen[text], tau=engine.spec.tau) for text in texts]
    results = captions(engine, cut, model)
    clips = np.stack([result.embedding for result in results if result.embedding is not None])
    found = engine.embed_text(texts) @ clips.T
    right = found.argmax(axis=1) == np.arange(len(texts))
    return {"recall": round(float(right.mean()), 3), "clips": len(texts)}


def footage_answers(path: Path, model: str | None) -> Iterator[Answer]:
    """What is true of each clip of a file, and its caption by the pipeline's own stages."""
    from jobs.footage import seen_frames  # with OpenCV, which nothing else needs

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
    seen = list(seen_frames(path, spec))
    for row in stage(rows).to_pylist():
        if row["kind"] == "clip":
            begin_s, end_s = (row["clip"][name] - 1e-6 for name in ("start_s", "end_s"))
            inside = [frame for frame in seen if begin_s <= frame.time_s < end_s]
            truth = judge(
                np.stack([frame.frame for frame in inside]),
                np.array([frame.time_s for frame in inside]),
                [frame.motion for frame in inside],
            )
            yield truth, row["caption"]


def accuracy(answers: Sequence[Answer]) -> dict[str, Any]:
    """By attribute, among the clips where it is scored: how many are right.

    ``exact`` counts captions without a wrong word among those that are scored; ``verbatim`` those
    whose every word is the rule's, scored or not; ``invented`` the captions that name a coloured
    shape, or a heading, where clearly no shot has one. Among clips of one shot, ``balanced`` is the
    mean over the true words, and ``majority`` what always saying the commonest word would reach.
    """
    scores = [truth.score(caption) for truth, caption in answers]
    figures: dict[str, Any] = {"clips": len(answers)}
    for name in ATTRIBUTES:
        scored = [score[name] for score in scores if score[name] is not Score.NOT_SCORED]
        right = sum(score is Score.RIGHT for score in scored)
        if scored:
            figures[name] = {"accuracy": round(right / len(scored), 3), "scored": len(scored)}
            if name in VOCABULARY:
                figures[name] |= _by_word(name, answers, scores)
    exact = [
        Score.WRONG not in score.values()
        for score in scores
        if Score.RIGHT in score.values() or Score.WRONG in score.values()
    ]
    figures["exact"] = {"accuracy": round(float(np.mean(exact)), 3), "scored": len(exact)}
    said = [(truth, parse_caption(caption or "") or ()) for truth, caption in answers]
    figures["verbatim"] = round(float(np.mean([words == truth.words for truth, words in said])), 3)
    figures["invented"] = {
        name: _invented(name, nothing, said)
        for name, nothing in (("thing", NOTHING), ("heading", NOWHERE))
    }
    return figures


def _invented(name: str, nothing: str, said: Sequence[tuple[Judgement, tuple[Words, ...]]]) -> str:
    """Among the clips that clearly have none in any shot: how many captions name one."""
    without = [
        words
        for truth, words in said
        if truth.is_clear
        and all(name in s.clear and getattr(s.words, name) == nothing for s in truth.shots)
    ]
    n_named = sum(any(getattr(word, name) != nothing for word in words) for words in without)
    return f"{n_named}/{len(without)}"


def _by_word(
    name: str, answers: Sequence[Answer], scores: Sequence[dict[str, Score]]
) -> dict[str, Any]:
    seen: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for (truth, _), score in zip(answers, scores, strict=True):
        if len(truth.shots) == 1 and score[name] is not Score.NOT_SCORED:
            word = getattr(truth.words[0], name)
            seen[word] += 1
            right[word] += score[name] is Score.RIGHT
    if not seen:
        return {}
    return {
        "balanced": round(float(np.mean([right[word] / seen[word] for word in seen])), 3),
        "majority": round(max(seen.values()) / seen.total(), 3),
        "by_word": {word: f"{right[word]}/{seen[word]}" for word in sorted(seen)},
    }


def captions(
    engine: CaptionEngine, clips: Sequence[ClipInput], model: str | None
) -> list[CaptionResult]:
    """What a checkpoint, loaded as ``engine``, says of clips when asked as it wants to be."""
    return engine.caption(
        clips,
        prompt=caption_prompt(model),
        max_new_tokens=MAX_NEW_TOKENS,
        max_batch_tokens=BATCH_TOKENS,
    )


if __name__ == "__main__":
    from cyclopts import run

    run(measure)
