"""What a clip costs the model: operations by its configuration, and hours at a rate.

The rate is measured where that is quick: of the embedded model, or where this machine has a GPU, by
captioning some sampled clips with the run's own stage. Elsewhere it is what the user says that a
GPU sustains.
"""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import torch

from flexivideo.checkpoints import config_as_saved, load_processor
from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.flops import clip_flops
from flexivideo.visual_spec import checkpoint_folder
from pipeline.caption_stage import CaptionPlan, CaptionStage
from pipeline.estimates import Estimate
from pipeline.progress import SECONDS_PER_HOUR
from pipeline.sample_totals import WatchedVideo

__all__ = ["ModelCost", "is_measured", "measured_cost", "stated_cost"]

# Threads of the measurement: hours of a CPU are asked for.
THREADS = 1

# The first warms up; of the others, that counts which was disturbed least.
TIMES = 3


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """What clips cost.

    Attributes:
        config: the model's.
        on: "CPU" or "GPU".
        rate: where the rate comes from, in words.
        n_text_tokens: prompt and caption of a clip.
        token_s: measured seconds a token that is read or written; None: by operations.
        flops_a_second: where nothing is measured.
    """

    config: FlexiVideoConfig
    on: str
    rate: str
    n_text_tokens: float
    token_s: float | None = None
    flops_a_second: float = 0.0

    @property
    def vector_width(self) -> int:
        """Numbers of a clip's vector."""
        return int(self.config.text_config.hidden_size)

    def teraflops(self, video: WatchedVideo, frame_size: tuple[int, int]) -> float:
        """Operations for all clips of a video, 1e12; frames of so many pixels down and across."""
        height_px, width_px = frame_size
        flops = sum(
            n_clips
            * clip_flops(
                self.config,
                n_scenes=n_scenes,
                height_px=height_px,
                width_px=width_px,
                n_text_tokens=round(self.n_text_tokens),
            ).total
            for n_scenes, n_clips in Counter(video.like.clips).items()
        )
        return flops * video.like.times / 1e12

    def hours(self, n_tokens: Estimate, teraflops: Estimate) -> Estimate:
        """For all clips of a run."""
        if self.token_s is not None:
            return n_tokens.times(self.token_s / SECONDS_PER_HOUR)
        return teraflops.times(1e12 / self.flops_a_second / SECONDS_PER_HOUR)


def is_measured(plan: CaptionPlan) -> bool:
    """Whether captioning some clips here is quick."""
    return plan.settings.model is None or torch.cuda.is_available()


def measured_cost(plan: CaptionPlan, clips: pa.Table) -> ModelCost:
    """By captioning clips (rows of ``DECODED_SCHEMA``): the fastest of some times.

    Raises:
        ModelError: if the model cannot be loaded.
    """
    stage = CaptionStage(plan, THREADS)
    times, on_gpu = [stage(clips) for _ in range(TIMES)], torch.cuda.is_available()
    spent = "caption_busy_s" if on_gpu else "caption_cpu_s"
    spent_s = min(pc.sum(answers[spent]).as_py() for answers in times)
    answers = times[-1]
    n_clips = answers.num_rows
    n_text = _question_tokens(plan) + (pc.sum(answers["n_caption_tokens"]).as_py() or 0) / n_clips
    n_visual = pc.sum(pc.struct_field(answers["clip"], "n_visual_tokens")).as_py()
    device = torch.cuda.get_device_name() if on_gpu else "this machine's CPU"
    return ModelCost(
        config=_config(plan),
        on="GPU" if on_gpu else "CPU",
        rate=f"measured with {n_clips} clips on {device}",
        n_text_tokens=n_text,
        token_s=spent_s / (n_visual + n_clips * n_text),
    )


def stated_cost(plan: CaptionPlan, tflops: float) -> ModelCost:
    """By operations, each caption as long as it may be."""
    longest = plan.settings.max_new_tokens
    return ModelCost(
        config=_config(plan),
        on="GPU",
        rate=f"at {tflops:g} TFLOP/s (--plan-tflops) and {longest} tokens a caption",
        n_text_tokens=_question_tokens(plan) + longest,
        flops_a_second=tflops * 1e12,
    )


def _config(plan: CaptionPlan) -> FlexiVideoConfig:
    return config_as_saved(checkpoint_folder(plan.settings.model))


def _question_tokens(plan: CaptionPlan) -> int:
    processor = load_processor(plan.settings.model)
    return len(processor.tokenizer(processor.prompt(plan.prompt))["input_ids"])
