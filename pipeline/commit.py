"""The commit: whole videos become visible, all at once, or not at all.

Data parts go first, then ``videos/part-<sequence>``, created only if that name is free: that is the
commit. Readers join on (video_id, commit_id), so data parts without their ``videos`` part are
invisible; the next run removes them. A holder that slept finds its sequence number sealed by its
successor and cannot commit. A commit that failed is the last one of its session, because only the
next holder can tell whether its number was used.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pipeline.assembly import CompleteVideo
from pipeline.commit_parts import CommitParts, PartSettings
from pipeline.identity import commit_id
from pipeline.index_session import IndexSession
from pipeline.run_identity import RunIdentity
from pipeline.settings import CommitSettings

__all__ = ["CommitReceipt", "Committer"]


@dataclass(frozen=True, kw_only=True)
class CommitReceipt:
    """A commit that stands."""

    sequence: int
    commit_id: str
    n_videos: int


class Committer:
    """Collects whole videos and commits them together."""

    def __init__(
        self,
        session: IndexSession,
        *,
        identity: RunIdentity,
        settings: CommitSettings,
        sample_fps: float,
        embedding_metadata: Mapping[str, str] | None = None,
        on_commit: Callable[[Sequence[CompleteVideo]], None] = lambda videos: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session, self._settings, self._on_commit = session, settings, on_commit
        self._about = PartSettings(
            identity=identity,
            run_id=session.run_id,
            sample_fps=sample_fps,
            embedding_dtype=settings.embedding_dtype,
            embedding_metadata=embedding_metadata or {},
        )
        self._monotonic, self._last_s = monotonic, monotonic()
        self._videos: list[CompleteVideo] = []
        self._n_rows = 0
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit what is whole, however the run ended, unless a commit failed."""
        try:
            if not self._failed:
                self.commit()
        finally:
            self._forget_videos()

    def add(self, video: CompleteVideo) -> None:
        """A whole video for the next commit."""
        self._videos.append(video)
        self._n_rows += video.n_rows

    def due(self) -> bool:
        """Whether enough rows or enough time have come together."""
        waited_s = self._monotonic() - self._last_s
        return bool(self._videos) and (
            self._n_rows >= self._settings.every_rows or waited_s >= self._settings.every_s
        )

    def commit(self) -> CommitReceipt | None:
        """Commit what was added; None if nothing was.

        Raises:
            LeaseLost: if another run has taken the root; nothing of this commit is visible.
            OSError: if the store failed; whether the commit stands is for the next run to see.
            RuntimeError: if a commit failed before.
        """
        self._last_s = self._monotonic()
        if not self._videos:
            return None
        if self._failed:
            raise RuntimeError("a commit of this session failed; expected a new session after it")
        self._failed = True  # until it stands
        receipt = self._write()
        self._failed = False
        self._on_commit(self._videos)
        self._forget_videos()
        return receipt

    def _write(self) -> CommitReceipt:
        self._session.check()
        sequence = self._session.next_sequence()
        commit = commit_id(self._session.run_id, sequence)
        parts = CommitParts(
            self._session.store,
            self._about,
            commit_id=commit,
            sequence=sequence,
            now=self._session.clock(),
        )
        try:
            parts.write(sorted(self._videos, key=lambda video: video.video_id))
        except OSError:
            self._session.check()  # a successor removes what we had begun: then say that
            raise
        return CommitReceipt(sequence=sequence, commit_id=commit, n_videos=len(self._videos))

    def _forget_videos(self) -> None:
        for video in self._videos:
            video.close()
        self._videos, self._n_rows = [], 0
