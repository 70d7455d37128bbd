"""Index videos: the command ``flexivideo index``, and a Ray job's entry point.

    ray job submit -- python -m jobs.index SOURCE... --out ROOT

is the same command with the same options.
"""

import sys
from pathlib import Path

from rich.console import Console

from jobs.option_groups import Flag, GroupedSettings, IndexOptions, Several

__all__ = ["index"]


def index(
    *source: str,
    manifest: Several = (),
    out: str,
    config: Path | None = None,
    json: Flag = False,
    strict: Flag = False,
    settings: IndexOptions = GroupedSettings(),
) -> int:
    """Index videos into a dataset; what it already holds is not done again.

    Index a folder with the small embedded model:

        flexivideo index ~/videos --out ~/index

    One file and a glob, with more frames a second and longer clips:

        flexivideo index talk.mkv 'shows/**/*.mp4' --out index --sample-fps 4 --clip-s 20

    A real model on a GPU, with its options from a file:

        flexivideo index archive/ --out index --model Qwen/Qwen2.5-VL-3B-Instruct --dtype bfloat16

        flexivideo index archive/ --out index --config nightly.toml --json

    The videos that a file names:

        flexivideo index --manifest uploads.csv --out index

    Parameters
    ----------
    source: str
        Files, folders, globs, s3:// objects or prefixes. A folder or prefix gives its files of
        known video extensions.
    manifest: tuple[str, ...]
        File or s3:// object that names videos; may be given several times. Text (.txt, .list): one
        path or s3:// object a line. CSV or Parquet: column uri, and for objects etag and
        size_bytes, which save a request each. Paths are relative to the manifest's folder.
    out: str
        Root of the dataset, a folder or s3://bucket/prefix; made if it is not there.
    config: Path
        TOML file with any of these options, by name or in tables; flags win over it.
    json: bool
        Print one JSON object for the plan and one for the summary.
    strict: bool
        Exit with 1 if a video of this run did not end as success or skipped.
    """
    from jobs.display import choose_display  # the rest of the import takes seconds: only if needed
    from jobs.listed_run import run_index
    from jobs.standard_output import own_stdout

    with own_stdout() as stdout:
        display = choose_display(as_json=json, console=Console(file=stdout))
        report = run_index(source, manifests=manifest, out=out, settings=settings, display=display)
    return report.exit_code(strict=strict)


if __name__ == "__main__":
    from jobs.cli import main

    main(["index", *sys.argv[1:]])
