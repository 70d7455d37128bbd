"""The decode stage: references in, rows of clips with pixels out, an outcome row a video.

What a video can do to its decoder ends here: a child that crashes, hangs or eats its memory is
replaced and the video tried again, and after the last try the video is quarantined. A video whose
scenes are stored already is cut into those, unless its frames prove to be others.
"""

import uuid
from collections.abc import Generator, Iterator
from dataclasses import replace

import pyarrow as pa

from pipeline.clip_rows import outcome_row
from pipeline.decode_plan import DecodePlan
from pipeline.outcomes import ErrorKind
from pipeline.records import DECODED_SCHEMA, VideoRef
from pipeline.store import open_store
from pipeline.stored_scenes import StoredScenes
from pipeline.supervisor import ChildDied, DecodeChild
from pipeline.verdicts import Verdict, outcome_of, quarantine

__all__ = ["DecodeStage"]


class DecodeStage:
    """Decodes videos one after another in a supervised child."""

    def __init__(self, plan: DecodePlan, child: DecodeChild | None = None) -> None:
        self._plan = plan
        self._child = child or DecodeChild(plan)
        root = plan.root and open_store(plan.root, plan.root_store)
        self._stored = StoredScenes(root) if root else None

    def __call__(self, refs: pa.Table) -> Iterator[pa.Table]:
        """Rows of ``DECODED_SCHEMA`` for a table of ``REF_SCHEMA``, as they come."""
        for row in refs.to_pylist():
            ref = VideoRef.from_fields(row)
            known = self._known(ref)
            if known is None or not (yield from self._recut(known)):
                yield from self._video(ref)

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def _known(self, ref: VideoRef) -> VideoRef | None:
        """The reference with its scenes, if they are stored."""
        if self._stored is None or ref.scenes_commit_id is None:
            return None
        scenes = self._stored.of(ref.video_id, ref.scenes_commit_id)
        return None if scenes is None else replace(ref, known_scenes=scenes)

    def _recut(self, ref: VideoRef) -> Generator[pa.Table, None, bool]:
        """Rows of a video with known scenes; returns whether its frames were theirs."""
        for rows in self._video(ref):
            outcome = rows["outcome"][-1].as_py()
            if outcome is not None and outcome["error_kind"] == ErrorKind.SOURCE_CHANGED:
                return False
            yield rows
        return True

    def _video(self, ref: VideoRef) -> Iterator[pa.Table]:
        tries = self._plan.decode.tries
        for number in range(1, tries + 1):
            # A nonce an execution: rows of two executions are never taken for one.
            attempt = uuid.uuid4().hex
            try:
                yield from self._child.rows(ref, attempt, n_tries=number)
                return
            except ChildDied as death:
                verdict = quarantine(
                    death.error_kind, death.seen, number, size_bytes=ref.size_bytes
                )
        yield _ended(ref, verdict, tries)


def _ended(ref: VideoRef, verdict: Verdict, tries: int) -> pa.Table:
    row = outcome_row(ref, uuid.uuid4().hex, outcome_of(verdict, n_tries=tries))
    return pa.Table.from_batches([row], schema=DECODED_SCHEMA)
