"""A decode plan for the tests, and videos through the decode stage."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from flexivideo.visual_spec import VisualSpec
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.decode_settings import DecodeSettings
from pipeline.decode_stage import DecodeStage
from pipeline.local_uri import to_uri
from pipeline.records import REF_SCHEMA, VideoRef
from pipeline.settings import PackingSettings, SegmentationSettings
from pipeline.sources import local_ref

SPEC = VisualSpec(
    patch_size=14,
    merge_size=2,
    min_pixels=56 * 56,
    max_pixels=84 * 84,
    temporal_resample="tei",
    t_init=6,
    tau=0.2,
    sample_fps=2.0,
)


def make_plan(**decode: Any) -> DecodePlan:
    """A plan of the defaults, with these limits."""
    return DecodePlan(
        segmentation=Segmentation.of(SegmentationSettings(), SPEC),
        packing=PackingSettings(),
        decode=DecodeSettings(**decode),
        spec=SPEC,
    )


def ref_table(refs: list[VideoRef]) -> pa.Table:
    """References as the stage takes them."""
    rows = [asdict(ref) for ref in refs]
    return pa.Table.from_pylist(rows, schema=REF_SCHEMA)


def run_stage(stage: DecodeStage, *paths: Path) -> dict[str, tuple[dict, list[dict]]]:
    """Base name to outcome and clip rows of the attempt that ended it."""
    attempts: dict[str, list[dict]] = {}
    videos = {}
    for table in stage(ref_table([local_ref(to_uri(str(path))) for path in paths])):
        for row in table.to_pylist():
            rows = attempts.setdefault(row["attempt"], [])
            if row["kind"] == "video":
                videos[Path(row["uri"]).name] = (row["outcome"], rows)
            else:
                rows.append(row)
    return videos
