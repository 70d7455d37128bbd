"""From settings to what every stage is given, and to the ids under which the results stand.

Defaults that belong to a checkpoint (sampling rate, tau, prompt, frame size) are settled here, so
that a stage never has to guess and an id never hides one.
"""

import os
from dataclasses import asdict, dataclass, replace

from flexivideo.checkpoints import check_checkpoint
from flexivideo.model_identity import model_digest
from flexivideo.prompts import caption_prompt
from flexivideo.visual_spec import VisualSpec, hub_revision
from pipeline.caption_stage import CaptionPlan
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.kept_captions import Kept, captioner_id
from pipeline.run_identity import RunIdentity
from pipeline.settings import IndexSettings

__all__ = ["RunPlan", "plan_run"]


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What the stages of a run are given."""

    decode: DecodePlan
    caption: CaptionPlan
    identity: RunIdentity

    @property
    def embedding_metadata(self) -> dict[str, str]:
        """What the vectors' column says of the model."""
        model = self.identity.meanings[self.identity.model_id]
        name = self.caption.settings.model or "flexivideo embedded"
        return {"model": name, "revision": str(model["digest"])}


def plan_run(settings: IndexSettings, *, root: str | None = None) -> RunPlan:
    """Settle all defaults; reads the checkpoint's files, not its weights into memory.

    Args:
        settings: what was asked for.
        root: dataset that holds the scenes of videos which are segmented already, and captions of
            those that are under way.

    Raises:
        ModelError: if the model cannot be found or loaded, or is of another architecture.
        SettingsError: if the model has no room for what is asked.
    """
    asked = settings.caption
    if asked.model is not None and os.path.isdir(asked.model):
        # Workers have folders of their own to start from.
        asked = replace(asked, model=os.path.abspath(asked.model))
    model = asked.model
    spec = VisualSpec.from_pretrained(
        model,
        temporal_resample=asked.temporal_resample,
        max_pixels=settings.packing.max_pixels,
    )
    prompt = asked.prompt or caption_prompt(model)
    check_checkpoint(model, prompt=prompt, max_new_tokens=asked.max_new_tokens)
    segmentation = Segmentation.of(settings.segmentation, spec)
    identity = RunIdentity.of(
        segmenter={"detector": "ats", **asdict(segmentation)},
        packing={
            "clip_s": settings.packing.clip_s,
            "min_clip_s": settings.packing.min_clip_s,
            "cut_delta": settings.packing.cut_delta,
            "max_clip_tokens": settings.packing.max_clip_tokens,
            "patch_size": spec.patch_size,
            "merge_size": spec.merge_size,
            "min_pixels": spec.min_pixels,
            "max_pixels": spec.max_pixels,
        },
        model={
            "digest": model_digest(model),
            "temporal_resample": spec.temporal_resample,
            "dtype": asked.dtype,
            "embedding_dtype": settings.commit.embedding_dtype,
        },
        prompt={"prompt": prompt, "max_new_tokens": asked.max_new_tokens, "decoding": "greedy"},
        limits={
            "progress_timeout_s": settings.decode.progress_timeout_s,
            "decode_timeout_s": settings.decode.decode_timeout_s,
            "memory_limit_mib": settings.decode.memory_limit_mib,
            "tries": settings.decode.tries,
            "max_duration_s": settings.decode.max_duration_s,
            "max_size_mib": settings.decode.max_size_mib,
            "max_side_px": settings.decode.max_side_px,
            "max_frame_pixels": settings.decode.max_frame_pixels,
            "max_streams": settings.decode.max_streams,
        },
    )
    kept = Kept(root=root or "", store=settings.root_store, captioner=captioner_id(identity))
    return RunPlan(
        decode=DecodePlan(
            segmentation=segmentation,
            packing=settings.packing,
            decode=settings.decode,
            spec=spec,
            store=settings.store,
            root=root,
            root_store=settings.root_store,
        ),
        caption=CaptionPlan(
            settings=asked,
            prompt=prompt,
            max_pixels=settings.packing.max_pixels,
            revision=hub_revision(model),
            kept=kept if root else None,
        ),
        identity=identity,
    )
