"""The decode stage: references in, rows of clips with pixels out, an outcome row a video.

What a video can do to its decoder ends here: a child that crashes, hangs or eats its memory is
replaced and the video tried again, and after the last try the video is quarantined.
"""

import uuid
from collections.abc import Iterator

import pyarrow as pa

from pipeline.clip_rows import outcome_row
from pipeline.decode_plan import DecodePlan
from pipeline.records import DECODED_SCHEMA, VideoRef
from pipeline.supervisor import ChildDied, DecodeChild
from pipeline.verdicts import Verdict, outcome_of, quarantine

__all__ = ["DecodeStage"]


class DecodeStage:
    """Decodes videos one after another in a supervised child."""

    def __init__(self, plan: DecodePlan, child: DecodeChild | None = None) -> None:
        self._plan = plan
        self._child = child or DecodeChild(plan)

    def __call__(self, refs: pa.Table) -> Iterator[pa.Table]:
        """Rows of ``DECODED_SCHEMA`` for a table of ``REF_SCHEMA``, as they come."""
        for row in refs.to_pylist():
            yield from self._video(VideoRef.from_fields(row))

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def _video(self, ref: VideoRef) -> Iterator[pa.Table]:
        tries = self._plan.decode.tries
        for number in range(1, tries + 1):
            # A nonce an execution: rows of two executions are never taken for one.
            attempt = uuid.uuid4().hex
            try:
                yield from self._child.rows(ref, attempt, n_tries=number)
                return
            except ChildDied as death:
                verdict = quarantine(death.error_kind, death.seen, number)
        yield _ended(ref, verdict, tries)


def _ended(ref: VideoRef, verdict: Verdict, tries: int) -> pa.Table:
    row = outcome_row(ref, uuid.uuid4().hex, outcome_of(verdict, n_tries=tries))
    return pa.Table.from_batches([row], schema=DECODED_SCHEMA)
