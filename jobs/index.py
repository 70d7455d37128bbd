"""Index videos: the command ``flexivideo index``, and a Ray job's entry point.

    ray job submit --working-dir . -- python -m jobs.index SOURCE... --out ROOT

is the same command with the same options.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter
from rich.console import Console

from jobs.option_groups import Flag, GroupedSettings, IndexOptions, Several
from pipeline.setting_ranges import ABOVE_ZERO, in_ranges

__all__ = ["PlanSettings", "index"]


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """Whether it is said beforehand what a run would bring and take.

    Attributes:
        plan: Only say it: hours, scenes, clips, tokens, CPU and GPU hours, bytes, requests, each
            with its error, from headers and short stretches of a sample. Nothing is written.
        plan_first: Say it, keep it in the run's row beside what the run took, and go on.
        plan_tflops: What a GPU sustains, 1e12 operations a second: the rate of a model that this
            machine cannot measure.
    """

    plan: Flag = False
    plan_first: Flag = False
    plan_tflops: float = 50.0

    def __post_init__(self) -> None:
        in_ranges(self, plan_tflops=ABOVE_ZERO)

    @property
    def is_wanted(self) -> bool:
        """Whether there is to be a plan."""
        return self.plan or self.plan_first


PLAN = Group("Plan", sort_key=5)


def index(
    *source: str,
    manifest: Several = (),
    out: str,
    config: Path | None = None,
    json: Flag = False,
    strict: Flag = False,
    planning: Annotated[PlanSettings, Parameter(name="*", group=PLAN)] = PlanSettings(),
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

    What it would bring and take, without doing it:

        flexivideo index archive/ --out index --plan

    Parameters
    ----------
    source: str
        Files, folders, globs, objects or prefixes (s3://, gs://, az://), https:// addresses. A
        folder or prefix gives its files of known video extensions. What signs an address is stored
        nowhere.
    manifest: tuple[str, ...]
        File or s3:// object that names videos; may be given several times. Text (.txt, .list): one
        path, object or https:// address a line. CSV or Parquet: column uri, and for what is
        on no disk etag and size_bytes, which save a request each; prompt, which is asked of that
        video in place of --prompt. Paths are relative to the manifest's folder.
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
    from jobs.planned_run import plan_index
    from jobs.standard_output import own_stdout

    with own_stdout() as stdout:
        console, expected = Console(file=stdout), None
        display = choose_display(as_json=json, console=console, live=not planning.plan)
        if planning.is_wanted:
            preview = plan_index(
                source,
                manifests=manifest,
                out=out,
                settings=settings,
                tflops=planning.plan_tflops,
                display=display,
                watcher=Console(stderr=True),
            )
            if planning.plan:
                display.plan(preview)
                return 0
            expected = preview.forecast
        report = run_index(
            source,
            manifests=manifest,
            out=out,
            settings=settings,
            display=display,
            forecast=expected,
        )
    return report.exit_code(strict=strict)


if __name__ == "__main__":
    from jobs.cli import main

    main(["index", *sys.argv[1:]])
