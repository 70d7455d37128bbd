"""The ``flexivideo`` command line: what it is called, what it takes, how it ends.

Exit codes: 0 all listed inputs have a terminal row, 1 the run could not finish (or, with
``--strict``, a video failed), 2 usage; of ``nightly`` also 3: it finished, and a person is needed.
"""

import os
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
from cyclopts import App
from rich.console import Console
from rich.markup import escape

from flexivideo.errors import FlexiVideoError, SettingsError
from jobs.convert import convert
from jobs.delete import delete
from jobs.finetune import finetune
from jobs.index import index
from jobs.nightly import nightly
from jobs.option_groups import Flag, SegmentationOptions, StoreOptions
from jobs.retry import retry
from jobs.standard_output import reader_has_gone
from jobs.toml_options import toml_options
from pipeline.settings import SegmentationSettings
from pipeline.store import open_store
from pipeline.store_settings import StoreSettings

__all__ = ["app", "main"]

EXIT_ERROR = 1
EXIT_USAGE = 2

app = App(
    name="flexivideo",
    help="Index video archives: scenes, captions and embeddings in Parquet.",
    config=toml_options,
    help_format="markdown",
    end_of_options_delimiter="--",
)


@app.command
def show(
    root: str,
    video: str | None = None,
    *,
    scenes: Flag = False,
    limit: int = 100,
    store: StoreOptions = StoreSettings(),
) -> int:
    """Show the videos of a dataset, or one video's clips with times and captions.

        flexivideo show index

        flexivideo show index talk.mkv --scenes

    Parameters
    ----------
    root: str
        Root of the dataset.
    video: str
        A video's id or the beginning of it, its uri, or its file's name.
    scenes: bool
        Show the video's scenes too.
    limit: int
        Most videos to list.
    """
    from jobs.show import show_dataset, show_video

    if video is None:
        show_dataset(open_store(root, store), limit=limit, console=Console())
    else:
        show_video(open_store(root, store), video, scenes=scenes, console=Console())
    return 0


@app.command
def sql(
    root: str,
    query: str | None = None,
    *,
    json: Flag = False,
    store: StoreOptions = StoreSettings(),
) -> int:
    """Ask a dataset in SQL: views videos, scenes, clips, embeddings, thumbnails, runs, settings.

        flexivideo sql index "SELECT status, count(*) FROM videos GROUP BY ALL"

        flexivideo sql index "SELECT uri, start_s, caption FROM clips JOIN videos USING (video_id)"

        flexivideo sql index < report.sql

    Parameters
    ----------
    root: str
        Root of the dataset.
    query: str
        DuckDB SQL. Default: read from standard input.
    json: bool
        Print one JSON object a row; bytes in base64.
    """
    from jobs.sql import print_json, print_tables

    asked = sys.stdin.read() if query is None else query
    if json:
        print_json(open_store(root, store), asked, out=sys.stdout)
    else:
        print_tables(open_store(root, store), asked, console=Console())
    return 0


@app.command
def scenes(
    file: str,
    *,
    json: Flag = False,
    segmentation: SegmentationOptions = SegmentationSettings(),
) -> int:
    """Segment one file and print its scenes and frame differences: the tool for choosing tau.

        flexivideo scenes talk.mkv

        flexivideo scenes talk.mkv --tau 0.5 --sample-fps 8

    Parameters
    ----------
    file: str
        A video file.
    json: bool
        Print one JSON object a scene, with every frame's difference.
    """
    from jobs.scenes import show_scenes

    return show_scenes(file, segmentation, as_json=json, console=Console())


@app.command
def demo(folder: str = "flexivideo-demo") -> int:
    """Lay out a small archive, index it, show what was found and how much of it was right.

        flexivideo demo

        flexivideo demo /tmp/somewhere

    Parameters
    ----------
    folder: str
        Where the archive and its index go; a second run finds nothing left to do.
    """
    from jobs.demo import run_demo

    return run_demo(Path(folder), console=Console())


for command in (index, nightly, retry, delete, convert, finetune):
    app.command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    errors = Console(stderr=True, soft_wrap=True)
    try:
        code = app(arguments, result_action="return_value", error_console=errors)
    except SettingsError as error:
        errors.print(f"flexivideo: {escape(str(error))}", highlight=False)
        sys.exit(EXIT_USAGE)
    except ConnectionError as error:
        if isinstance(error, BrokenPipeError) and reader_has_gone():  # who has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_ERROR)
        errors.print(
            f"flexivideo: a connection of this run broke ({escape(str(error))}); expected the "
            f"cluster and the stores to be there: look at them; the same command goes on",
            highlight=False,
        )
        sys.exit(EXIT_ERROR)
    except FlexiVideoError as error:
        errors.print(f"flexivideo: {escape(str(error))}", highlight=False)
        sys.exit(EXIT_ERROR)
    except (duckdb.Error, pa.ArrowException) as error:
        errors.print(
            f"flexivideo: the dataset cannot be read: {escape(str(error))}; expected whole parts "
            f"of our own: restore the file from a copy, or index into another root",
            highlight=False,
        )
        sys.exit(EXIT_ERROR)
    except OSError as error:  # a full or read-only disk, say
        errors.print(
            f"flexivideo: {escape(str(error))}; expected a disk that can be written to: free some "
            f"of it, or choose another root, then run again",
            highlight=False,
        )
        sys.exit(EXIT_ERROR)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
