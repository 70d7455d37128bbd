"""Videos of a dataset done again, chosen by how they ended."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import Console

from flexivideo.errors import SettingsError, StoreError
from jobs.display import choose_display
from jobs.index_run import IndexRun
from jobs.run_preview import RunPreview
from pipeline.identity import video_id
from pipeline.known_videos import KnownVideo, ended_otherwise, newest_settings, standing
from pipeline.outcomes import ErrorKind, Status
from pipeline.records import VideoRef
from pipeline.runs import COMPLETED
from pipeline.sources import located
from pipeline.store import open_store
from pipeline.store_settings import OutStoreSettings, StoreSettings
from pipeline.views import connect

__all__ = ["run_retry"]

NOT_WELL = tuple(status for status in Status if status != Status.SUCCESS)


def run_retry(
    root: str,
    *,
    statuses: Sequence[str],
    kinds: Sequence[str],
    store: StoreSettings,
    as_json: bool,
    console: Console,
) -> int:
    """Do the chosen videos again, in the version that they have now; the exit code.

    Raises:
        SettingsError: if there is no such status or kind.
        FlexiVideoError: as ``jobs.listed_run.run_index``.
    """
    _check("status", statuses, Status)
    _check("kind", kinds, ErrorKind)
    opened = open_store(root, store)
    connection = connect(opened)
    settings = newest_settings(connection)
    # The dataset may be reached otherwise than when it was made.
    settings = replace(
        settings,
        out_store=OutStoreSettings(out_endpoint_url=store.endpoint_url, out_profile=store.profile),
    )
    display = choose_display(as_json=as_json, console=console)
    run = IndexRun(opened, settings, display)
    chosen = ended_otherwise(connection, statuses=statuses or NOT_WELL, kinds=kinds)
    refs = [ref for known in chosen if (ref := _now(known, run.settings.store)) is not None]
    well = standing(connection, refs)  # in the version that is there now
    run.progress.compared(len(refs), len(well))
    preview = RunPreview(
        n_listed=len(refs),
        is_whole=True,
        n_done=len(well),
        n_gone=len(chosen) - len(refs),
        out=opened.root,
        model=run.model,
    )
    display.plan(preview)
    ended = COMPLETED
    if left := [ref for ref in refs if ref.video_id not in well]:
        with run.holding() as (session, record):
            record.plan = preview.to_json()
            record.ended = ended = run.index(session, [left], undone=lambda window: window)
    display.summary(run.progress.snapshot(), ended, opened.root)
    return int(ended != COMPLETED)


def _now(known: KnownVideo, store: StoreSettings) -> VideoRef | None:
    """A video in its present version; None if it is gone.

    One that is refused ends as a row that says so: its address may have to be signed, and what
    signed it was not kept.
    """
    uri = known.uri
    try:
        ref = located(uri, store)
    except StoreError as error:
        if error.error_kind != ErrorKind.SOURCE_DENIED:
            raise
        ref = VideoRef(uri=uri, version="", video_id=video_id(uri, ""), size_bytes=None)
    return ref and replace(ref, prompt=known.prompt).within(known.time_range)


def _check(option: str, given: Sequence[str], known: Iterable[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SettingsError(f"--{option} is {unknown[0]!r}; expected {', '.join(known)}")
