"""How many captions of the rendered clips were right."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from jobs.demo_archive import TrueShot, read_truth
from pipeline.views import connect

__all__ = ["Score", "score_captions"]

# A clip is judged by a shot that holds at least this share of it.
INSIDE_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class Score:
    """Captions against what is true.

    Attributes:
        right: attribute to number of captions that have it right.
        scored: attribute to number of captions judged on it.
        n_exact: captions right in everything.
        n_clips: captions judged.
        n_across: clips that lie across a cut and were not judged.
    """

    right: dict[str, int]
    scored: dict[str, int]
    n_exact: int
    n_clips: int
    n_across: int

    def sentence(self) -> str:
        """For a person."""
        parts = ", ".join(f"{name} {self.right[name]}/{self.scored[name]}" for name in self.scored)
        across = f"; {self.n_across} clips across a cut were not judged" if self.n_across else ""
        return (
            f"Of the captions of rendered clips, whose content is known, "
            f"{self.n_exact} of {self.n_clips} were right in everything ({parts}){across}."
        )


def score_captions(root: str, truth: Path) -> Score:
    """Judge the captions of a dataset's rendered clips."""
    shots = read_truth(truth)
    right: Counter[str] = Counter()
    scored: Counter[str] = Counter()
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
        answers = shot.judgement.score(caption or "")
        n_clips += 1
        n_exact += all(answers.values())
        scored.update(answers.keys())
        right.update(attribute for attribute, is_right in answers.items() if is_right)
    return Score(
        right={name: right[name] for name in scored},
        scored=dict(scored),
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
