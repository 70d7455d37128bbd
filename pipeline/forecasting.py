"""A forecast from a sample of headers and stretches.

Every figure is the total of something that headers tell exactly (frames to look at, pixels to
decode, visual tokens if each frame were a scene, clips if only their length ended them), times how
much of it the stretches have shown.
"""

from collections.abc import Sequence
from functools import partial
from math import ceil

from pipeline.decode_plan import DecodePlan
from pipeline.estimates import Estimate
from pipeline.forecast import Forecast
from pipeline.glimpse import VideoGlimpse
from pipeline.listing_sample import ListingSample
from pipeline.model_cost import ModelCost
from pipeline.progress import SECONDS_PER_HOUR
from pipeline.sample_totals import SampleTotals, WatchedVideo
from pipeline.survey import Header, Stretch

__all__ = ["make_forecast"]

# What Parquet makes of a row, measured on real videos; a picture's bytes are seen, and a vector's
# follow from its width, less what compression takes off.
VIDEO_BYTES, SCENE_BYTES, CLIP_BYTES, VECTOR_SHARE = 250, 56, 110, 0.93

# Of a root with one commit: footers, the run's own row, what its ids stand for.
ROOT_BYTES = 60_000


def make_forecast(
    sample: ListingSample,
    headers: Sequence[Header],
    stretches: Sequence[Stretch],
    plan: DecodePlan,
    model: ModelCost,
    *,
    vector_number_bytes: int,
) -> Forecast:
    """The figures.

    Args:
        sample: of the listing, at its end.
        headers: what its videos' headers say.
        stretches: what was seen of them, in their order.
        plan: of the decode.
        model: what a clip costs the model.
        vector_number_bytes: of a stored vector.
    """
    totals = SampleTotals(sample, headers, stretches, plan)
    kinds = sorted({header.seen.error_kind for header in headers if header.seen.error_kind})
    codecs = sorted({header.seen.codec for header in headers if header.seen.codec})

    def frames(seen: VideoGlimpse) -> float:
        return max(1.0, seen.duration_s * min(plan.segmentation.sample_fps, seen.fps))

    def most_tokens(seen: VideoGlimpse) -> float:
        return frames(seen) * seen.tokens_per_scene

    def fewest_clips(seen: VideoGlimpse) -> float:
        return ceil(seen.duration_s / plan.packing.clip_s)

    def pixels(seen: VideoGlimpse) -> float:
        return seen.duration_s * seen.fps * seen.width_px * seen.height_px

    def teraflops(video: WatchedVideo) -> float:
        sides = plan.spec.frame_size(video.seen.height_px, video.seen.width_px)
        return model.teraflops(video, sides)

    clips = totals.of_stretches(lambda video: video.like.n_clips, per=fewest_clips)
    scenes = totals.of_stretches(lambda video: video.like.n_scenes, per=frames)
    tokens = totals.of_stretches(
        lambda video: video.like.n_scenes * video.seen.tokens_per_scene, per=most_tokens
    )
    operations = totals.of_stretches(teraflops, per=most_tokens)
    pictures = totals.of_stretches(
        lambda video: video.like.n_clips * video.thumbnail_bytes, per=fewest_clips
    )
    vector_bytes = model.vector_width * vector_number_bytes * VECTOR_SHARE
    rows = scenes.times(SCENE_BYTES).plus(clips.times(CLIP_BYTES + vector_bytes)).plus(pictures)
    looks = [header.seen for header in headers] + [stretch.seen for stretch in stretches]
    return Forecast(
        n_videos=sample.n_videos,
        n_bytes=sample.n_bytes,
        n_requests=sample.n_requests,
        will_fail={kind: totals.number(partial(_fails_by, kind)) for kind in kinds},
        codec_hours={
            codec: totals.of_headers(partial(_seconds_of, codec)).times(1 / SECONDS_PER_HOUR)
            for codec in codecs
        },
        video_hours=totals.of_headers(lambda seen: seen.duration_s).times(1 / SECONDS_PER_HOUR),
        n_scenes=scenes,
        n_clips=clips,
        n_visual_tokens=tokens,
        decode_cpu_hours=totals.of_stretches(_decode_s, per=pixels).times(1 / SECONDS_PER_HOUR),
        model_hours=model.hours(tokens.plus(clips.times(model.n_text_tokens)), operations),
        model_on=model.on,
        model_rate=model.rate,
        model_teraflops=operations,
        output_bytes=rows.plus(Estimate(value=ROOT_BYTES + VIDEO_BYTES * sample.n_videos)),
        n_headers=len(headers),
        n_stretches=len(stretches),
        plan_requests=sum(seen.n_requests for seen in looks),
        plan_bytes=sum(seen.n_bytes for seen in looks),
    )


def _fails_by(kind: str, seen: VideoGlimpse) -> bool:
    return seen.error_kind == kind


def _seconds_of(codec: str, seen: VideoGlimpse) -> float:
    return seen.duration_s if seen.codec == codec else 0.0


def _decode_s(video: WatchedVideo) -> float:
    seen = video.seen
    a_second = seen.cpu_s / seen.stretch_s if seen.stretch_s else 0.0
    return seen.open_cpu_s + a_second * seen.duration_s
