"""Files of training records as clips: the same decoding, sampling and ATS that indexing does.

A whole video is one clip, and a picture is a scene of repeated frames. Videos are decoded in a
supervised child, so a file that takes its decoder down costs one record.
"""

import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from flexivideo.scene_patches import ClipInput, still_clip
from flexivideo.visual_spec import VisualSpec
from pipeline.clip_inputs import clip_inputs
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.decode_settings import DecodeSettings
from pipeline.decode_stage import DecodeStage
from pipeline.indexed_scenes import IndexedScenes
from pipeline.local_uri import to_uri
from pipeline.outcomes import Status
from pipeline.records import REF_SCHEMA
from pipeline.settings import PackingSettings, SegmentationSettings
from pipeline.sources import local_ref
from pipeline.training_records import TrainingRecord

__all__ = ["MediaUnusable", "TrainingMedia"]

# No clip ends before its video does, unless it becomes too large to be used.
WHOLE_VIDEO = PackingSettings(clip_s=1e9, min_clip_s=1e9, cut_delta=1e9)


# Pillow would try all its decoders on a file, and one of them hands it to another program.
PICTURES = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

# A picture takes some 20 bytes a pixel on its way to the model's size.
MOST_PIXELS = 2**26


class MediaUnusable(Exception):
    """A record's file is missing or broken, or shows too much; the message says which."""


class TrainingMedia:
    """Loads the files of records, one after another."""

    def __init__(
        self,
        spec: VisualSpec,
        *,
        segmentation: SegmentationSettings,
        decode: DecodeSettings,
        max_clip_tokens: int,
        indexed: IndexedScenes | None = None,
    ) -> None:
        """Nothing is started before the first video.

        Args:
            spec: how the model wants its frames.
            segmentation: sampling and ATS; its open values are the spec's.
            decode: limits of the decode child.
            max_clip_tokens: a clip of more visual tokens is unusable.
            indexed: scenes of videos that need no ATS; made under the same segmentation.
        """
        self._spec, self._max_clip_tokens, self._indexed = spec, max_clip_tokens, indexed
        plan = DecodePlan(
            segmentation=Segmentation.of(segmentation, spec),
            packing=replace(WHOLE_VIDEO, max_clip_tokens=max_clip_tokens),
            decode=replace(decode, thumbnails=False),
            spec=spec,
        )
        self._decode = DecodeStage(plan)

    def clip(self, record: TrainingRecord) -> ClipInput:
        """The clip of a record.

        Raises:
            MediaUnusable: if there is none.
        """
        path = Path(record.media)
        if not os.path.isfile(path):  # Path.is_file raises where a name is too long or forbidden
            raise MediaUnusable(f"{path} is not there, or may not be seen")
        return self._image(path) if record.is_image else self._video(path)

    def close(self) -> None:
        """End the decode child."""
        self._decode.close()

    def _video(self, path: Path) -> ClipInput:
        ref = local_ref(to_uri(os.path.abspath(path)))
        if self._indexed:
            ref = replace(ref, known_scenes=self._indexed.of(ref.video_id))
        kept: list[pa.Table] = []
        for rows in self._decode(pa.Table.from_pylist([asdict(ref)], schema=REF_SCHEMA)):
            kept.append(rows)
            if sum(table.num_rows for table in kept) > 2:  # a second clip, and no outcome yet
                raise self._too_large(path)
        rows = pa.concat_tables(kept)
        outcome = rows["outcome"][-1].as_py()
        if outcome["status"] != Status.SUCCESS or not outcome["n_clips"]:
            raise MediaUnusable(
                f"{path} is {outcome['status']}: {outcome['error_message'] or 'no frame'}"
            )
        if outcome["n_clips"] > 1 or outcome["n_visual_tokens"] > self._max_clip_tokens:
            raise self._too_large(path)
        return clip_inputs(rows.slice(0, 1))[0]

    def _image(self, path: Path) -> ClipInput:
        try:
            with Image.open(path, formats=PICTURES) as image:
                _check_size(image)
                frame = _eight_bits(ImageOps.exif_transpose(image))
        except UnidentifiedImageError as error:
            raise MediaUnusable(
                f"{path} is no picture of a kind that is read; expected {', '.join(PICTURES)}"
            ) from error
        except Exception as error:  # each of the decoders behind Pillow has errors of its own
            raise MediaUnusable(f"{path} is no picture: {error}") from error
        if self._spec.tokens_per_scene(*frame.shape[:2]) > self._max_clip_tokens:
            raise self._too_large(path)
        return still_clip(frame, self._spec)

    def _too_large(self, path: Path) -> MediaUnusable:
        return MediaUnusable(
            f"{path} takes more than {self._max_clip_tokens} visual tokens; lower sample_fps or "
            f"max_pixels, or raise tau or max_clip_tokens"
        )


def _check_size(image: Image.Image) -> None:
    """Refuse, by its header, what would take too much memory."""
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(
            f"it has {image.width} x {image.height} pixels; expected at most "
            f"{MOST_PIXELS // 10**6} million"
        )


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """A picture as uint8 [H,W,3]; Pillow itself would cut 16 bits off at 255."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).clip(0, 2**16 - 1) >> 8
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("its pixels are floats of no known range; expected integers")
    return np.array(image.convert("RGB"))
