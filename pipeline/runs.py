"""The ``runs`` and ``settings`` tables: who did what with which settings, and how it ended."""

import json
import platform
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from pipeline.index_session import IndexSession
from pipeline.progress import Progress, Snapshot
from pipeline.records import VideoRef
from pipeline.run_identity import RunIdentity
from pipeline.schemas import RUNS, SETTINGS
from pipeline.settings import IndexSettings
from pipeline.tables import settings_part, write_part

__all__ = [
    "COMPLETED",
    "FAILED",
    "INTERRUPTED",
    "KILLED",
    "RunRecord",
    "note_prompts",
    "note_settings",
    "noting_run",
    "package_versions",
]

COMPLETED, INTERRUPTED, FAILED, KILLED = "completed", "interrupted", "failed", "killed"

# What a result can depend on.
PACKAGES = ("flexivideo", "av", "numpy", "pyarrow", "ray", "torch", "transformers")


class RunRecord:
    """What is known of a run while it goes on.

    Attributes:
        ended: how it ended; "failed" until it is said otherwise.
        plan: what was known of it before it began, ready for ``json.dumps``; None: nothing.
    """

    def __init__(self) -> None:
        self.ended = FAILED
        self.plan: Mapping[str, object] | None = None


@contextmanager
def noting_run(
    session: IndexSession, *, settings: IndexSettings, progress: Progress
) -> Iterator[RunRecord]:
    """Write the rows of killed runs before this one, and at its end its own, however it ends."""
    _note_killed(session)
    record = RunRecord()
    try:
        yield record
    except BaseException:
        record.ended = FAILED
        with suppress(OSError):  # the store may be the very thing that failed
            _note(session, record, settings, progress.snapshot())
        raise
    _note(session, record, settings, progress.snapshot())


def _note(
    session: IndexSession, record: RunRecord, settings: IndexSettings, snapshot: Snapshot
) -> None:
    _write(
        session,
        {
            "run_id": session.run_id,
            "started_at": session.started_at,
            "ended_at": session.clock(),
            "ended": record.ended,
            "host": socket.gethostname(),
            "settings": json.dumps(asdict(settings)),
            "versions": json.dumps(package_versions()),
            "plan": None if record.plan is None else json.dumps(record.plan),
            "counts": json.dumps(snapshot.to_json()),
        },
    )


def _note_killed(session: IndexSession) -> None:
    for killed in session.killed:
        _write(
            session,
            {
                "run_id": killed.run_id,
                "started_at": datetime.fromisoformat(killed.started_at),
                "ended": KILLED,
                "host": killed.host,
            },
        )
    if session.killed:
        session.killed_are_noted()


def note_settings(session: IndexSession, identity: RunIdentity) -> None:
    """Write what each id of this run stands for, where that is not written yet."""
    _note_meanings(session, identity.meanings)


def note_prompts(session: IndexSession, identity: RunIdentity, refs: Iterable[VideoRef]) -> None:
    """... and what those of videos do that are asked something of their own."""
    for prompt in sorted({ref.prompt for ref in refs if ref.prompt is not None}):
        own = identity.asking(prompt)
        _note_meanings(session, {own.prompt_id: own.meanings[own.prompt_id]})


def _note_meanings(session: IndexSession, meanings: Mapping[str, Mapping[str, object]]) -> None:
    for settings_id, meaning in meanings.items():
        row: dict[str, object] = {
            "settings_id": settings_id,
            "kind": settings_id.partition("-")[0],
            "meaning": json.dumps(meaning, sort_keys=True),
        }
        write_part(session.store, settings_part(settings_id), SETTINGS, [row])


def _write(session: IndexSession, row: Mapping[str, object]) -> None:
    write_part(session.store, f"runs/part-{row['run_id']}.parquet", RUNS, [dict(row)])


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result can depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
