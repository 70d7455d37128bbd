"""Caption what came in: the command ``flexivideo nightly``, and a Ray job's entry point.

    ray job submit --working-dir . -- python -m jobs.nightly --source s3://uploads --out s3://index

is the same command with the same options.
"""

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter
from rich.console import Console

from jobs.option_groups import Flag, GroupedSettings, IndexOptions, Several
from pipeline.setting_ranges import AT_LEAST_ONE, in_ranges

__all__ = ["AlarmSettings", "nightly"]


@dataclass(frozen=True, kw_only=True)
class AlarmSettings:
    """From when on a person is called; shares are from 0 to 1.

    Attributes:
        max_failed: Share of the night's videos that may end as failed, partial or quarantined.
        max_unavailable: Share of the night's videos that the store may not give.
        min_videos: ... but fewer than so many call nobody, unless the store gives none at all.
        max_gone: Share of a source's known videos that may be gone; if more are, none is noted.
    """

    max_failed: float = 0.1
    max_unavailable: float = 0.1
    min_videos: int = 5
    max_gone: float = 0.5

    def __post_init__(self) -> None:
        in_ranges(self, min_videos=AT_LEAST_ONE)
        in_ranges(self, max_failed=(0, 1), max_unavailable=(0, 1), max_gone=(0, 1))


ALARMS = Group("Alarms", sort_key=5)


def nightly(
    *,
    source: Several = (),
    manifest: Several = (),
    out: str,
    since: datetime | None = None,
    reuse_renamed: Flag = False,
    config: Path | None = None,
    json: Flag = False,
    alarms: Annotated[AlarmSettings, Parameter(name="*", group=ALARMS)] = AlarmSettings(),
    settings: IndexOptions = GroupedSettings(),
) -> int:
    """Index what is new or changed, note what is gone, and say in one line whether all is well.

        flexivideo nightly --source s3://uploads --out s3://index

        flexivideo nightly --source ~/videos --source /mnt/more --out ~/index --since 2026-01-31

        flexivideo nightly --manifest s3://lists/new.parquet --out s3://index

    Exit codes: 0 all is well (also where another run is at work already), 1 the run could not
    finish, 2 usage, 3 it finished and a person is needed.

    Parameters
    ----------
    source: tuple[str, ...]
        Files, folders, globs, objects or prefixes (s3://, gs://, az://), https:// addresses; may be
        given several times. Of folders and prefixes it is noted which videos are gone.
    manifest: tuple[str, ...]
        File or s3:// object that names videos, as for index; may be given several times. It is not
        noted which of them are gone.
    out: str
        Root of the dataset, a folder or s3://bucket/prefix; made if it is not there.
    since: datetime
        Leave what was put there before this date or time (UTC), indexed or not.
    reuse_renamed: bool
        Let a video take over the rows of the same bytes under another name (its version has to be
        the same too), in place of decoding and captioning it again.
    config: Path
        TOML file with any of these options, by name or in tables; flags win over it.
    json: bool
        Print one JSON object for the plan, one for the summary and one for the night; where another
        run is at work, the summary is missing.
    """
    from jobs.night import run_night  # the import takes seconds: only if needed
    from jobs.standard_output import own_stdout

    with own_stdout() as stdout:
        return run_night(
            source,
            manifests=manifest,
            out=out,
            since=since,
            settings=settings,
            alarms=alarms,
            reuse_renamed=reuse_renamed,
            as_json=json,
            console=Console(file=stdout),
        )


if __name__ == "__main__":
    from jobs.cli import main

    main(["nightly", *sys.argv[1:]])
