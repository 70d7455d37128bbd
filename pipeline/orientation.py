"""Upright pictures of the wanted size: rotation, mirroring and pixel aspect as a player does.

Shapes: H, W pixels, 3 RGB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pipeline.colour import RgbScaler

__all__ = ["Orientation", "UprightScaler"]


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """One of the eight ways a picture can lie: first transposed, then flipped."""

    transposed: bool = False
    flipped_down: bool = False
    flipped_right: bool = False

    @classmethod
    def of(cls, image: VideoFrame) -> "Orientation":
        """Orientation that a frame's display matrix asks for.

        The matrix takes (x, y) to (a x + c y, b x + d y), y pointing down; angles between the right
        ones are taken as the nearest.
        """
        side_data: Mapping[Any, Any] = image.side_data
        matrix = side_data.get(SideDataType.DISPLAYMATRIX)
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(bytes(matrix), dtype="<i4")[:5].tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(transposed=True, flipped_down=b < 0, flipped_right=c < 0)
        return cls(flipped_down=d < 0, flipped_right=a < 0)

    def apply(self, picture_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture upright; a view where that is enough."""
        if self.transposed:
            picture_HW3 = picture_HW3.transpose(1, 0, 2)
        if self.flipped_down:
            picture_HW3 = picture_HW3[::-1]
        if self.flipped_right:
            picture_HW3 = picture_HW3[:, ::-1]
        return picture_HW3


class UprightScaler:
    """Scales the frames of one video to upright RGB; all take the first frame's size and pose.

    Attributes:
        height_px: height as a player shows it.
        width_px: width as a player shows it.
    """

    def __init__(self, first: VideoFrame, pixel_aspect: Fraction) -> None:
        self._orientation = Orientation.of(first)
        width = max(1, round(first.width * pixel_aspect))
        sides = (first.height, width)
        self.height_px, self.width_px = sides[::-1] if self._orientation.transposed else sides
        self._rgb = RgbScaler()

    def scale(self, image: VideoFrame, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """Upright RGB uint8 [height_px, width_px, 3], bicubic, contiguous.

        Raises:
            VideoRejected: unsupported_codec, for pixels that cannot be converted.
            MemoryError: if the machine ran short of memory or threads.
        """
        lying = (width_px, height_px) if self._orientation.transposed else (height_px, width_px)
        return np.ascontiguousarray(self._orientation.apply(self._rgb.scale(image, *lying)))
