"""RGB pictures of any size from a frame, in the colours that a player shows.

What the stream says of its colours holds: matrix, range, where chroma lies. A matrix that it does
not name is guessed from the size, as players do: BT.709 for high definition, else BT.601; a range
is the narrow one, and chroma lies in the middle of its pixels. High dynamic range (PQ, HLG) is
tone-mapped; the wider gamut of other BT.2020 video is not narrowed.

Chroma is interpolated to every pixel and sums are rounded, not cut: without the flags for that
libswscale lets two neighbours share their chroma, 27 to 42 dB from what another scaler makes of the
same frames, and 63 dB with them. Packed pixels are written one at a time then, and planes in wide
instructions: the same values in half the time.

Shapes: H, W pixels, 3 RGB.
"""

from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from flexivideo.errors import VideoRejected
from pipeline.outcomes import ErrorKind
from pipeline.shortage import raise_if_short
from pipeline.tone_mapping import HDR_TRANSFERS, sdr_of

__all__ = ["RgbScaler"]

SCALING = (
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.ACCURATE_RND
)

# What a stream's matrix coefficients say when they say nothing: H.273's "unspecified", and 3, which
# is reserved and written by careless encoders.
UNNAMED_MATRICES = frozenset({2, 3})

# Of frames that the decoder gave out at its end; times mean nothing to what scales.
ANY_TIME_BASE = Fraction(1, 1000)

# The largest picture of standard definition: what is larger in either way is BT.709.
MAX_SD_WIDTH, MAX_SD_HEIGHT = 1279, 576


class RgbScaler:
    """Scales frames to RGB, of which most are alike: what they share is set up once a size."""

    def __init__(self) -> None:
        self._reformatters: dict[tuple[int, int], VideoReformatter] = defaultdict(VideoReformatter)

    def scale(self, image: VideoFrame, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """RGB uint8 [height_px, width_px, 3], bicubic, as the frame lies.

        Raises:
            VideoRejected: unsupported_codec, for pixels that cannot be converted.
            MemoryError: if the machine ran short of memory or threads.
        """
        is_hdr = image.color_trc in HDR_TRANSFERS
        try:
            scaled = self._reformatters[height_px, width_px].reformat(
                _as_one_picture(image) if image.interlaced_frame else image,
                width=width_px,
                height=height_px,
                format=_rgb_format(image, is_hdr=is_hdr),
                src_colorspace=_matrix(image),
                interpolation=SCALING,
                threads=1,  # those of the machine are not ours to take
            )
        except MemoryError:  # also libav's own, which is an FFmpegError too
            raise
        except (FFmpegError, ValueError) as error:
            raise_if_short(error)
            raise VideoRejected(
                ErrorKind.UNSUPPORTED_CODEC,
                f"frames of {image.width} x {image.height} {image.format.name} cannot be turned "
                f"into RGB ({error}); expected a common pixel format: transcode the video",
            ) from error
        picture: NDArray[Any] = scaled.to_ndarray()
        return sdr_of(picture, image.color_trc) if is_hdr else picture


def _rgb_format(image: VideoFrame, *, is_hdr: bool) -> str:
    """Planes, but of what is RGB already: there the ways differ, and so do their roundings."""
    if image.format.is_rgb or image.format.has_palette:
        return "rgb48le" if is_hdr else "rgb24"
    return "gbrp16le" if is_hdr else "gbrp"


def _matrix(image: VideoFrame) -> Colorspace | None:
    """The matrix that is to be guessed; None where the frame names its own."""
    if image.colorspace not in UNNAMED_MATRICES:
        return None
    is_hd = image.width > MAX_SD_WIDTH or image.height > MAX_SD_HEIGHT
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601


def _as_one_picture(image: VideoFrame) -> VideoFrame:
    """The frame without its mark of being interlaced, not copied.

    libswscale scales the two fields of a marked frame apart and weaves them again, so that what
    moves shows a comb in the small picture too; scaled as one, the fields blend.
    """
    graph = Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add_buffer(
            width=image.width,
            height=image.height,
            format=image.format,
            time_base=image.time_base or ANY_TIME_BASE,
        ),
        graph.add("setfield", "prog"),
        graph.add("buffersink"),
    ).configure()
    graph.vpush(image)
    return graph.vpull()
