"""A whole video as one clip, in windows of two frames, of six, or in the scenes of ATS.

What the benchmarks of windows share: the three ways of the paper's ablation.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flexivideo.scene_patches import ClipInput
from flexivideo.visual_spec import VisualSpec
from pipeline.clip_inputs import clip_inputs
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.decode_settings import DecodeSettings
from pipeline.local_uri import to_uri
from pipeline.settings import PackingSettings, SegmentationSettings
from pipeline.sources import local_ref
from pipeline.video_rows import video_rows

# A threshold that nothing passes, and a cap; or the threshold alone.
NEVER = 1e9
WINDOWS: Mapping[str, Mapping[str, float | int]] = {
    "fixed 2": {"tau": NEVER, "max_scene_frames": 2},
    "fixed 6": {"tau": NEVER, "max_scene_frames": 6},
    "scenes": {},
}

# No limit ends a clip.
ONE_CLIP = PackingSettings(
    clip_s=NEVER, min_clip_s=NEVER, cut_delta=NEVER, max_clip_tokens=2**31 - 1
)


def whole_clip(path: Path, spec: VisualSpec, *, windows: str, sample_fps: float) -> ClipInput:
    """The video's frames at a rate, cut into windows; one clip, decoded as a run decodes it."""
    how = SegmentationSettings(**{"tau": spec.tau} | WINDOWS[windows] | {"sample_fps": sample_fps})
    plan = DecodePlan(
        segmentation=Segmentation.of(how, spec),
        packing=ONE_CLIP,
        decode=DecodeSettings(thumbnails=False),
        spec=spec,
    )
    rows = pa.Table.from_batches(video_rows(local_ref(to_uri(path)), "benchmark", plan))
    (clip,) = clip_inputs(rows.filter(pc.equal(rows["kind"], "clip")))
    return clip
