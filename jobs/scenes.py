"""``flexivideo scenes``: where ATS cuts one file, and why: the tool for choosing tau."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flexivideo.errors import SettingsError
from flexivideo.visual_spec import VisualSpec
from jobs.run_preview import counted
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.decode_settings import DecodeSettings
from pipeline.decode_stage import DecodeStage
from pipeline.outcomes import Status
from pipeline.records import REF_SCHEMA
from pipeline.settings import PackingSettings, SegmentationSettings
from pipeline.sources import Listing

__all__ = ["segment_file", "show_scenes"]

# A delta of 2 tau fills the bar: what matters is which side of tau it is on.
BAR_CELLS = 24


def segment_file(
    file: str, segmentation: SegmentationSettings
) -> tuple[list[dict], dict, Segmentation]:
    """Scenes of one file (rows of ``SCENE_TYPE``), its outcome, and the settings as they were used.

    The file is read as the pipeline reads it: by the same stage, in a supervised child.
    """
    listing = Listing([file])
    if os.path.isdir(file):
        raise SettingsError(f"{file!r} is a folder; expected one video file")
    refs = list(listing)
    if len(refs) != 1:
        raise SettingsError(f"{file!r} names {len(refs)} videos; expected one")
    spec = VisualSpec.from_pretrained(None)
    settled = Segmentation.of(segmentation, spec)
    stage = DecodeStage(
        DecodePlan(
            segmentation=settled,
            packing=PackingSettings(),
            decode=DecodeSettings(thumbnails=False),
            spec=spec,
        )
    )
    table = pa.Table.from_pylist([asdict(refs[0])], schema=REF_SCHEMA)
    attempts: dict[str, list[dict]] = {}
    for row in _rows(stage, table):
        if row["kind"] == "video":
            return attempts.get(row["attempt"], []), row["outcome"], settled
        attempts.setdefault(row["attempt"], []).extend(row["scenes"])
    raise RuntimeError(f"the decode stage ended without an outcome for {file!r}")


def show_scenes(
    file: str, segmentation: SegmentationSettings, *, as_json: bool, console: Console
) -> int:
    """Print a file's scenes and deltas; returns the exit code."""
    scenes, outcome, settled = segment_file(file, segmentation)
    if as_json:
        for scene in scenes:
            console.out(json.dumps(scene), highlight=False)
        console.out(json.dumps({"outcome": outcome}), highlight=False)
        return _exit_code(outcome)
    if scenes:
        console.print(_table(scenes, settled.tau))
    n_frames, n_scenes = outcome["n_frames_sampled"], outcome["n_scenes"]
    console.print(
        f"{escape(repr(file))}: {outcome['status']}"
        + (
            f" ({outcome['error_kind']}: {escape(outcome['error_message'])})"
            if outcome["error_kind"]
            else ""
        )
    )
    console.print(
        f"{counted(n_frames, 'frame')} at {settled.sample_fps:g} fps, "
        f"{counted(n_scenes, 'scene')} at tau {settled.tau:g}; fixed windows of two frames would "
        f"be {(n_frames + 1) // 2}"
    )
    return _exit_code(outcome)


def _rows(stage: DecodeStage, refs: pa.Table) -> Iterator[dict]:
    for table in stage(refs):
        yield from table.select(["kind", "attempt", "scenes", "outcome"]).to_pylist()


def _table(scenes: list[dict], tau: float) -> Table:
    table = Table("scene", "from", "to", "frames", "cut", "largest delta, against tau (|)")
    for scene in scenes:
        largest = max(scene["frame_deltas"])
        cut = scene["cut_delta"]
        table.add_row(
            str(scene["scene_index"]),
            f"{scene['start_s']:.2f} s",
            f"{scene['end_s']:.2f} s",
            str(scene["n_frames"]),
            "" if cut is None else f"{cut:.3f}",
            f"{largest:.3f} {_bar(largest, tau)}",
        )
    return table


def _bar(delta: float, tau: float) -> str:
    # At tau 0 no frame of a scene differs from its first.
    filled = min(BAR_CELLS, round(delta / (2 * tau) * BAR_CELLS)) if tau else 0
    cells = ["█" if cell < filled else "·" for cell in range(BAR_CELLS)]
    cells.insert(BAR_CELLS // 2, "|")
    return "".join(cells)


def _exit_code(outcome: dict) -> int:
    return 0 if outcome["status"] in (Status.SUCCESS, Status.PARTIAL) else 1
