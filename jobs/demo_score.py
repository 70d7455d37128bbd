"""How many captions of the rendered clips were right."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flexivideo.plain_world.judgement import ATTRIBUTES, Judgement, Score
from jobs.demo_archive import TrueShot, read_truth
from jobs.run_preview import counted
from pipeline.views import connect

__all__ = ["DemoScore", "score_captions"]

# A clip is judged by a shot that holds at least this share of it.
INSIDE_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class DemoScore:
    """Captions against what is true.

    Attributes:
        right: attribute to captions that have it right.
        wrong: attribute to captions that have it wrong.
        not_scored: attribute to captions of shots within a threshold's margin.
        n_exact: captions without a wrong word.
        n_clips: captions judged.
        n_across: clips that lie across a cut and were not judged.
    """

    right: dict[str, int]
    wrong: dict[str, int]
    not_scored: dict[str, int]
    n_exact: int
    n_clips: int
    n_across: int

    def sentence(self) -> str:
        """For a person."""
        if not self.n_clips:
            return "No caption of a rendered clip could be judged."
        parts = ", ".join(
            f"{name} {self.right[name]}/{self.right[name] + self.wrong[name]}"
            for name in ATTRIBUTES
        )
        across = (
            f"; {counted(self.n_across, 'clip')} across a cut not judged" if self.n_across else ""
        )
        return (
            f"Of the captions of rendered clips, whose content is known, "
            f"{self.n_exact} of {self.n_clips} were right in everything ({parts}){across}."
        )


def score_captions(root: str, truth: Path) -> DemoScore:
    """Judge the captions of a dataset's rendered clips by the shots of ``truth.json``."""
    shots = read_truth(truth)
    counts = {score: Counter(dict.fromkeys(ATTRIBUTES, 0)) for score in Score}
    n_exact = n_clips = n_across = 0
    rows = connect(root).execute(
        """SELECT parse_filename(uri), start_s, end_s, caption FROM clips
           JOIN videos USING (video_id) ORDER BY uri, start_pts"""
    )
    for name, start_s, end_s, caption in rows.fetchall():
        if name not in shots:
            continue
        shot = _shot_of(shots[name], start_s, end_s)
        if shot is None:
            n_across += 1
            continue
        scores = Judgement(shots=(shot.truth,)).score(caption)
        n_clips += 1
        n_exact += Score.WRONG not in scores.values()
        for attribute, score in scores.items():
            counts[score][attribute] += 1
    return DemoScore(
        right=dict(counts[Score.RIGHT]),
        wrong=dict(counts[Score.WRONG]),
        not_scored=dict(counts[Score.NOT_SCORED]),
        n_exact=n_exact,
        n_clips=n_clips,
        n_across=n_across,
    )


def _shot_of(shots: list[TrueShot], start_s: float, end_s: float) -> TrueShot | None:
    for shot in shots:
        inside_s = min(end_s, shot.end_s) - max(start_s, shot.start_s)
        if inside_s >= INSIDE_SHARE * (end_s - start_s):
            return shot
    return None
