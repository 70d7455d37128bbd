"""Rows back into videos: a video is whole when all rows of one attempt have come.

Rows come in any order and mixture, and after a worker's death rows of two attempts may both come;
attempts are kept apart, doubles dropped. Rows wait in a spool a video, in memory up to a few MB and
on disk beyond, so that a long video costs the driver no memory.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from pipeline.outcomes import CaptionStatus
from pipeline.records import CAPTIONED_SCHEMA, Twin, VideoRef
from pipeline.retry import NO_LIMITS
from pipeline.time_ranges import TimeRange
from pipeline.verdicts import lost_rows, outcome_of, verdict_with_captions

__all__ = ["Assembler", "CompleteVideo"]

SPOOL_IN_MEMORY_BYTES = 2 * 2**20


class CompleteVideo:
    """A video all of whose rows are there.

    Attributes:
        video_id: which.
        uri: where it was listed.
        version: in which version.
        outcome: its ``OUTCOME_TYPE`` as a dictionary, captions taken into account.
        time_range: the part of the object that it is; None: all of it.
        prompt: what the model was asked of it alone; None: what it was asked of the others.
        n_caption_tokens: of all its captions.
    """

    def __init__(
        self,
        video_id: str,
        uri: str,
        version: str,
        outcome: dict[str, Any],
        spool: "_Spool",
        *,
        time_range: TimeRange | None,
        prompt: str | None,
        n_caption_tokens: int = 0,
    ) -> None:
        self.video_id, self.uri, self.version = video_id, uri, version
        self.time_range, self.prompt = time_range, prompt
        self.outcome, self._spool = outcome, spool
        self.n_caption_tokens = n_caption_tokens

    @classmethod
    def lost(cls, ref: VideoRef, *, passes: int) -> "CompleteVideo":
        """A video whose rows never all arrived; no limits of its decode are to blame."""
        outcome = outcome_of(lost_rows(passes), n_tries=passes, limits_id=NO_LIMITS)
        return cls(
            ref.video_id,
            ref.uri,
            ref.version,
            outcome,
            _Spool(),
            time_range=ref.time_range,
            prompt=ref.prompt,
        )

    @property
    def twin(self) -> Twin | None:
        """The video whose rows it takes over, having no clips of its own; None: nobody's."""
        fields = self.outcome.get("twin")
        return None if fields is None else Twin(**fields)

    @property
    def n_rows(self) -> int:
        """Rows that it adds to the dataset: its scenes and clips, and its own."""
        return 1 + int(self.outcome["n_clips"]) + int(self.outcome["n_scenes"])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its clip rows in order, a batch a row; can be read again.

        Clips that had come before the video was refused after all are none of its rows.
        """
        return self._spool.batches(int(self.outcome["n_rows"]))

    def close(self) -> None:
        """Free the spool."""
        self._spool.close()


class Assembler:
    """Takes rows of ``CAPTIONED_SCHEMA`` and gives back whole videos."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._attempts: dict[str, dict[str, _Attempt]] = {}
        self._complete: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for video_id in list(self._attempts):
            self._forget(video_id)

    def push(self, rows: pa.Table) -> list[CompleteVideo]:
        """Take rows; returns the videos that became whole with them."""
        whole = []
        for batch in rows.combine_chunks().to_batches():
            keys = batch.select(["video_id", "attempt"]).to_pylist()
            for index, key in enumerate(keys):
                video = self._take(key["video_id"], key["attempt"], batch.slice(index, 1))
                if video is not None:
                    whole.append(video)
        return whole

    def pending(self) -> list[str]:
        """Ids of videos of which some rows have come, but not all of one attempt."""
        return sorted(self._attempts)

    def unkept(
        self, *, begun_before_s: float
    ) -> Iterator[tuple[str, str, Iterator[pa.RecordBatch]]]:
        """Id and uri of videos that are not whole, and their clips' rows not given here before.

        Args:
            begun_before_s: only attempts whose first row came by then, on the assembler's clock.
        """
        for video_id, attempts in self._attempts.items():
            for attempt in attempts.values():
                if attempt.begun_s <= begun_before_s:
                    yield video_id, attempt.uri, attempt.spool.unkept()

    def _take(self, video_id: str, attempt_id: str, row: pa.RecordBatch) -> CompleteVideo | None:
        if video_id in self._complete:
            return None  # a late double
        attempts = self._attempts.setdefault(video_id, {})
        if attempt_id not in attempts:
            attempts[attempt_id] = _Attempt(row["uri"][0].as_py(), self._monotonic())
        attempt = attempts[attempt_id]
        attempt.take(row)
        if not attempt.is_whole():
            return None
        spool = attempts.pop(attempt_id).spool
        self._forget(video_id)
        self._complete.add(video_id)
        asked = row["time_range"][0].as_py()
        return CompleteVideo(
            video_id,
            attempt.uri,
            row["version"][0].as_py(),
            attempt.final_outcome(),
            spool,
            time_range=asked and TimeRange(**asked),
            prompt=row["prompt"][0].as_py(),
            n_caption_tokens=attempt.n_caption_tokens(),
        )

    def _forget(self, video_id: str) -> None:
        for attempt in self._attempts.pop(video_id, {}).values():
            attempt.spool.close()


class _Attempt:
    """What has come of one execution of one video."""

    def __init__(self, uri: str, begun_s: float) -> None:
        self.uri, self.begun_s, self.spool = uri, begun_s, _Spool()
        self._outcome: dict[str, Any] | None = None
        self._caption_errors: set[int] = set()
        self._caption_tokens: dict[int, int] = {}

    def take(self, row: pa.RecordBatch) -> None:
        if row["kind"][0].as_py() == "video":
            self._outcome = row["outcome"][0].as_py()
            return
        number = row["row_index"][0].as_py()
        if self.spool.add(number, row):
            self._caption_tokens[number] = row["n_caption_tokens"][0].as_py() or 0
            if row["caption_status"][0].as_py() == CaptionStatus.ERROR:
                self._caption_errors.add(number)

    def is_whole(self) -> bool:
        return self._outcome is not None and self.spool.holds_all(self._outcome["n_rows"])

    def final_outcome(self) -> dict[str, Any]:
        decoded, rows = self._outcome or {}, self._rows()
        n_errors = sum(number in self._caption_errors for number in rows)
        verdict = verdict_with_captions(decoded, n_clips=len(rows), n_caption_errors=n_errors)
        return outcome_of(verdict, **decoded)

    def n_caption_tokens(self) -> int:
        return sum(self._caption_tokens[number] for number in self._rows())

    def _rows(self) -> range:
        """Numbers of the rows that count: none, where the video was refused after some."""
        return range(self._outcome["n_rows"] if self._outcome else 0)


class _Spool:
    """Rows by number, serialised to a temporary file that stays in memory while it is small."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY_BYTES)  # noqa: SIM115
        self._where: dict[int, tuple[int, int]] = {}
        self._end = self._n_kept = 0

    def add(self, number: int, row: pa.RecordBatch) -> bool:
        """Keep a row; False if that number has come before."""
        if number in self._where:
            return False
        content = row.serialize()
        self._file.seek(self._end)
        self._file.write(content)
        self._where[number] = (self._end, len(content))
        self._end += len(content)
        return True

    def holds_all(self, n_rows: int) -> bool:
        """Whether it holds the rows 0 to n_rows - 1."""
        return len(self._where) >= n_rows and all(number in self._where for number in range(n_rows))

    def batches(self, n_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows 0 to n_rows - 1."""
        return map(self._read, range(n_rows))

    def unkept(self) -> Iterator[pa.RecordBatch]:
        """The rows that came since this was asked last."""
        numbers = list(islice(self._where, self._n_kept, None))
        self._n_kept = len(self._where)
        return map(self._read, numbers)

    def close(self) -> None:
        self._file.close()

    def _read(self, number: int) -> pa.RecordBatch:
        offset, length = self._where[number]
        self._file.seek(offset)
        buffer = pa.py_buffer(self._file.read(length))
        return pa.ipc.read_record_batch(buffer, CAPTIONED_SCHEMA)
