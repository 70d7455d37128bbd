"""``flexivideo show``: what a dataset holds, for a person."""

from itertools import takewhile
from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flexivideo.errors import DatasetError, SettingsError
from flexivideo.model_identity import model_digest
from flexivideo.plain_world.words import EMBEDDED_LIMITS
from jobs.display import duration
from jobs.run_preview import printable
from pipeline.local_uri import FILE_SCHEME, to_path, to_uri
from pipeline.store import Store
from pipeline.time_ranges import time_range
from pipeline.views import connect

__all__ = ["cell", "show_dataset", "show_video"]

# Captions and names are printed whole up to here.
MAX_CELL_CHARACTERS = 400

# A narrower terminal gets lines in place of a table.
TABLE_WIDTH = 80

VIDEO_COLUMNS: dict[str, dict[str, Any]] = {
    "id": {"no_wrap": True},
    "video": {"overflow": "fold"},
    "status": {},
    "length": {"justify": "right", "no_wrap": True},
    "scenes": {"justify": "right"},
    "clips": {"justify": "right"},
    "first caption": {"overflow": "fold"},
}


def show_dataset(store: Store, *, limit: int, console: Console) -> None:
    """Print the current videos of a dataset, each with its first caption, and their sums.

    Raises:
        SettingsError: if the limit is no number of videos.
    """
    if limit < 1:
        raise SettingsError(f"limit is {limit}; expected a number from 1 on")
    connection = connect(store)
    rows = connection.execute(
        """SELECT uri, range_start_s, range_end_s, video_id, status, error_kind, duration_s,
                  n_scenes, n_clips, caption
           FROM videos LEFT JOIN (SELECT video_id, caption FROM clips WHERE clip_index = 0)
           USING (video_id) ORDER BY uri, range_start_s NULLS FIRST LIMIT ?""",
        [limit],
    ).fetchall()
    names = [printable(to_path(uri)) for uri, *_ in rows]
    folder = _common_folder(names)
    lines = [
        {
            "id": video_id[:8],
            "video": cell(name.removeprefix(folder) + _within(start_s, end_s)),
            "status": status if error_kind is None else f"{status}: {error_kind}",
            "length": duration(duration_s),
            "scenes": str(n_scenes),
            "clips": str(n_clips),
            "first caption": cell(caption),
        }
        for name, (_, start_s, end_s, video_id, status, error_kind, duration_s, *rest) in zip(
            names, rows, strict=True
        )
        for n_scenes, n_clips, caption in [rest]
    ]
    console.print(f"[italic]{escape(folder)}[/italic]", soft_wrap=True)
    if console.width < TABLE_WIDTH:
        for line in lines:
            console.print("{id} {video}\n  {status}, {length}: {first caption}".format(**line))
    else:
        table = Table()
        for name, options in VIDEO_COLUMNS.items():
            table.add_column(name, **options)
        for line in lines:
            table.add_row(*line.values())
        console.print(table)
    ((total, hours, n_clips),) = connection.execute(
        """SELECT count(*), coalesce(sum(duration_s), 0) / 3600, coalesce(sum(n_clips), 0)
           FROM videos"""
    ).fetchall()
    shown = f", the first {limit} shown" if total > limit else ""
    console.print(f"{total} videos{shown}, {hours:.3f} hours, {n_clips} clips")
    _say_limits(connection, console)


def show_video(store: Store, video: str, *, scenes: bool, console: Console) -> None:
    """Print one video's clips with times and captions, and its scenes if asked.

    Args:
        store: the dataset's.
        video: a video_id or the beginning of one, a uri or the end of one.
        scenes: print the scenes too.
        console: where to.
    """
    connection = connect(store)
    found = _find(connection, store.root, video)
    video_id, uri, start_s, end_s, status, error_kind, message = found
    name = to_path(uri) + _within(start_s, end_s)
    console.print(f"[bold]{cell(name)}[/bold]  {video_id}")
    console.print(status if error_kind is None else f"{status}: {error_kind}: {cell(message)}")
    clips = connection.execute(
        """SELECT clip_index, start_s, end_s, n_scenes, boundary, caption, caption_status
           FROM clips WHERE video_id = ? ORDER BY start_pts""",
        [video_id],
    ).fetchall()
    table = Table("clip", "from", "to", "scenes", "starts at", "caption")
    for index, start_s, end_s, n_scenes, boundary, caption, caption_status in clips:
        text = cell(caption)
        if caption_status != "success":
            text += escape(f" [{caption_status}]")
        if console.width < TABLE_WIDTH:
            console.print(f"{index}  {start_s:.2f} to {end_s:.2f} s, {boundary}: {text}")
        table.add_row(
            str(index), f"{start_s:.2f} s", f"{end_s:.2f} s", str(n_scenes), boundary, text
        )
    if console.width >= TABLE_WIDTH:
        console.print(table)
    if scenes:
        console.print(_scene_table(connection, video_id))
    _say_limits(connection, console)


def _find(connection: duckdb.DuckDBPyConnection, root: str, video: str) -> tuple:
    matches = connection.execute(
        """SELECT video_id, uri, range_start_s, range_end_s, status, error_kind, error_message
           FROM videos WHERE starts_with(video_id, $1) OR uri = $1 OR ends_with(uri, $2)
           ORDER BY uri, range_start_s NULLS FIRST""",
        [printable(video), to_uri(f"/{video}").removeprefix(FILE_SCHEME)],
    ).fetchall()
    if not matches:
        raise DatasetError(
            f"no video of {root} has the id or name {video!r}; see them by show {root}"
        )
    if len(matches) > 1:
        some = ", ".join(
            f"{video_id[:12]} {printable(uri)}{_within(start_s, end_s)}"
            for video_id, uri, start_s, end_s, *_ in matches[:5]
        )
        raise DatasetError(f"{len(matches)} videos answer to {video!r}: {some}; give a longer id")
    return matches[0]


def _within(start_s: float | None, end_s: float | None) -> str:
    """What follows the name of a video that is a part of an object."""
    asked = time_range(start_s, end_s)
    return "" if asked is None else f", {asked}"


def _say_limits(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Say what the embedded checkpoint cannot know, if it wrote any of the captions."""
    embedded = connection.execute(
        """SELECT 1 FROM settings SEMI JOIN videos ON settings_id = model_id
           WHERE meaning ->> '$.digest' = ?""",
        [model_digest(None)],
    ).fetchall()
    if embedded:
        console.print(f"[dim]captions: {EMBEDDED_LIMITS}[/dim]")


def _common_folder(names: list[str]) -> str:
    """The folder that all the names lie in, with its slash; empty if there is none."""
    parts = zip(*(name.split("/")[:-1] for name in names), strict=False)
    shared = takewhile(lambda folders: len(set(folders)) == 1, parts)
    return "".join(f"{folders[0]}/" for folders in shared)


def _scene_table(connection: duckdb.DuckDBPyConnection, video_id: str) -> Table:
    table = Table("scene", "clip", "from", "to", "frames", "cut_delta")
    for index, clip, start_s, end_s, n_frames, cut in connection.execute(
        """SELECT scene_index, clip_index, start_s, end_s, n_frames, cut_delta
           FROM scenes WHERE video_id = ? ORDER BY start_pts""",
        [video_id],
    ).fetchall():
        table.add_row(
            str(index),
            str(clip),
            f"{start_s:.2f} s",
            f"{end_s:.2f} s",
            str(n_frames),
            "" if cut is None else f"{cut:.3f}",
        )
    return table


def cell(value: object) -> str:
    """A value as a cell of a table, shortened, its control characters spelled out."""
    text = printable("" if value is None else str(value))
    if len(text) > MAX_CELL_CHARACTERS:
        text = text[: MAX_CELL_CHARACTERS - 1] + "…"
    return escape(text)
