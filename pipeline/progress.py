"""Counters of a run and what can be said from them; the name of every metric stands here.

The driver feeds a :class:`Progress` as rows pass by; :meth:`Progress.snapshot` gives one frozen
:class:`Snapshot` for whoever shows it: a live display, plain lines, JSON, the row of the run. The
clock is passed in, so no test has to wait.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Progress", "Snapshot"]

SECONDS_PER_HOUR = 3600.0

STAGES = ("decode", "caption")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Where a run stands.

    Attributes:
        n_listed: videos found under the sources so far.
        n_already_done: of these, done by earlier runs.
        n_gone: videos of earlier runs whose source is gone, noted in this run.
        n_returned: ... and whose source is there again.
        n_renamed: videos that took over the rows of the same bytes under another name.
        n_unusable: lines of manifests that could not be used.
        n_ended: videos that ended in this run.
        by_status: status to number of videos ended in this run.
        by_error_kind: error kind to number of videos ended in this run.
        video_s: length of the videos ended in this run, seconds.
        n_scenes: scenes of these.
        n_clips: clips of these.
        n_visual_tokens: visual tokens of these.
        n_caption_tokens: tokens of their captions.
        n_clips_captioned: clips captioned so far, also of videos not yet ended or done again.
        n_tokens_done: visual and caption tokens of those.
        elapsed_s: wall time since the start.
        busy_s: stage to worker seconds spent working.
        cpu_s: stage to CPU seconds that this took.
        n_workers: stage to size of its pool.
        queued: stage to blocks waiting for it.
    """

    n_listed: int
    n_already_done: int
    n_gone: int
    n_returned: int
    n_renamed: int
    n_unusable: int
    n_ended: int
    by_status: Mapping[str, int]
    by_error_kind: Mapping[str, int]
    video_s: float
    n_scenes: int
    n_clips: int
    n_visual_tokens: int
    n_caption_tokens: int
    n_clips_captioned: int
    n_tokens_done: int
    elapsed_s: float
    busy_s: Mapping[str, float]
    cpu_s: Mapping[str, float]
    n_workers: Mapping[str, int]
    queued: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_to_do(self) -> int:
        """Videos of this run, ended or not."""
        return self.n_listed - self.n_already_done

    @property
    def tokens_per_s(self) -> float:
        """Visual and caption tokens a second of wall time."""
        return self.n_tokens_done / max(self.elapsed_s, 1e-9)

    @property
    def real_time_factor(self) -> float:
        """Seconds of video a second of wall time."""
        return self.video_s / max(self.elapsed_s, 1e-9)

    @property
    def busy_share(self) -> dict[str, float]:
        """Stage to the share of its workers' time spent working, 0 to 1."""
        return {
            stage: min(1.0, busy / max(self.elapsed_s * self.n_workers.get(stage, 1), 1e-9))
            for stage, busy in self.busy_s.items()
        }

    @property
    def remaining_s(self) -> float | None:
        """Time left at the rate so far, seconds; None before the first video has ended."""
        if not self.n_ended:
            return None
        return self.elapsed_s / self.n_ended * (self.n_to_do - self.n_ended)

    def to_json(self) -> dict[str, object]:
        """All fields and the figures made of them, ready for ``json.dumps``."""
        return {
            "n_listed": self.n_listed,
            "n_already_done": self.n_already_done,
            "n_gone": self.n_gone,
            "n_returned": self.n_returned,
            "n_renamed": self.n_renamed,
            "n_unusable": self.n_unusable,
            "n_ended": self.n_ended,
            "by_status": dict(self.by_status),
            "by_error_kind": dict(self.by_error_kind),
            "video_hours": self.video_s / SECONDS_PER_HOUR,
            "n_scenes": self.n_scenes,
            "n_clips": self.n_clips,
            "n_visual_tokens": self.n_visual_tokens,
            "n_caption_tokens": self.n_caption_tokens,
            "n_clips_captioned": self.n_clips_captioned,
            "n_tokens_done": self.n_tokens_done,
            "elapsed_s": self.elapsed_s,
            "tokens_per_s": self.tokens_per_s,
            "real_time_factor": self.real_time_factor,
            "busy_s": dict(self.busy_s),
            "cpu_s": dict(self.cpu_s),
            "busy_share": self.busy_share,
            "queued": dict(self.queued),
            "remaining_s": self.remaining_s,
        }


class Progress:
    """Counts what passes the driver."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._n_listed = self._n_already_done = self._n_gone = self._n_returned = 0
        self._n_renamed = 0
        self._n_unusable = 0
        self._n_workers: Mapping[str, int] = {}
        self._clock, self._started = clock, clock()
        self._by_status: Counter[str] = Counter()
        self._by_error_kind: Counter[str] = Counter()
        self._video_s = 0.0
        self._n_scenes = self._n_clips = self._n_visual_tokens = self._n_caption_tokens = 0
        self._n_clips_captioned = self._n_tokens_done = 0
        self._busy_s = dict.fromkeys(STAGES, 0.0)
        self._cpu_s = dict.fromkeys(STAGES, 0.0)
        self._queued: Mapping[str, int] = {}

    def compared(self, n_listed: int, n_already_done: int) -> None:
        """So many more were listed, and so many of all that were listed are done already."""
        self._n_listed += n_listed
        self._n_already_done += n_already_done

    def sources_compared(self, n_gone: int, n_returned: int) -> None:
        """So many known videos are gone, and so many there again."""
        self._n_gone, self._n_returned = n_gone, n_returned

    def manifests_read(self, n_unusable: int) -> None:
        """So many lines of them could not be used."""
        self._n_unusable = n_unusable

    def started(self, n_workers: Mapping[str, int]) -> None:
        """The workers are there: so many at most by stage."""
        self._n_workers = n_workers

    def rows_arrived(self, rows: pa.Table, queued: Mapping[str, int]) -> None:
        """Rows of ``CAPTIONED_SCHEMA`` reached the driver while so many blocks waited."""
        for stage in STAGES:
            self._busy_s[stage] += pc.sum(rows[f"{stage}_busy_s"]).as_py() or 0.0
            self._cpu_s[stage] += pc.sum(rows[f"{stage}_cpu_s"]).as_py() or 0.0
        self._n_clips_captioned += pc.sum(pc.equal(rows["kind"], "clip")).as_py() or 0
        for tokens in (
            rows["n_caption_tokens"],
            pc.struct_field(rows["clip"], "n_visual_tokens"),
        ):
            self._n_tokens_done += pc.sum(tokens).as_py() or 0
        self._queued = queued

    def video_ended(self, outcome: Mapping[str, Any], *, n_caption_tokens: int) -> None:
        """One video got its terminal status."""
        self._by_status[str(outcome["status"])] += 1
        self._n_renamed += outcome.get("twin") is not None
        if outcome.get("error_kind"):
            self._by_error_kind[str(outcome["error_kind"])] += 1
        self._video_s += outcome.get("duration_s") or 0.0
        self._n_scenes += outcome["n_scenes"]
        self._n_clips += outcome["n_clips"]
        self._n_visual_tokens += outcome["n_visual_tokens"]
        self._n_caption_tokens += n_caption_tokens

    def snapshot(self) -> Snapshot:
        """Where the run stands now."""
        return Snapshot(
            n_listed=self._n_listed,
            n_already_done=self._n_already_done,
            n_gone=self._n_gone,
            n_returned=self._n_returned,
            n_renamed=self._n_renamed,
            n_unusable=self._n_unusable,
            n_ended=self._by_status.total(),
            by_status=dict(self._by_status),
            by_error_kind=dict(self._by_error_kind),
            video_s=self._video_s,
            n_scenes=self._n_scenes,
            n_clips=self._n_clips,
            n_visual_tokens=self._n_visual_tokens,
            n_caption_tokens=self._n_caption_tokens,
            n_clips_captioned=self._n_clips_captioned,
            n_tokens_done=self._n_tokens_done,
            elapsed_s=self._clock() - self._started,
            busy_s=dict(self._busy_s),
            cpu_s=dict(self._cpu_s),
            n_workers=dict(self._n_workers),
            queued=dict(self._queued),
        )
