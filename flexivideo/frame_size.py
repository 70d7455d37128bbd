"""The size at which a model sees a frame."""

from math import ceil, floor, sqrt

__all__ = ["smart_resize"]

# Beyond this ratio of the sides Qwen's own rule refuses an image.
MAX_ASPECT_RATIO = 200


def smart_resize(
    height_px: int, width_px: int, *, factor: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """Height and width, multiples of ``factor``, within the pixel budget, aspect kept as closely.

    The rule is Qwen2-VL's image processor's. It refuses frames more than 200 times as long as
    wide; here the longer side of such a frame is taken as 200 times the shorter, so that one odd
    video is distorted rather than lost.

    Raises:
        ValueError: if a side is below one pixel, or the budget holds no single patch.
    """
    if height_px < 1 or width_px < 1:
        raise ValueError(f"a frame is {width_px} x {height_px} px; expected at least 1 x 1")
    if not factor**2 <= max_pixels or min_pixels > max_pixels:
        raise ValueError(
            f"min_pixels is {min_pixels} and max_pixels {max_pixels}; expected the first not above "
            f"the second, and the second at least one patch of {factor} x {factor} px"
        )
    height_px = min(height_px, width_px * MAX_ASPECT_RATIO)
    width_px = min(width_px, height_px * MAX_ASPECT_RATIO)
    height = max(factor, round(height_px / factor) * factor)
    width = max(factor, round(width_px / factor) * factor)
    if height * width > max_pixels:
        shrink = sqrt(height_px * width_px / max_pixels)
        height = max(factor, floor(height_px / shrink / factor) * factor)
        width = max(factor, floor(width_px / shrink / factor) * factor)
    elif height * width < min_pixels:
        grow = sqrt(min_pixels / (height_px * width_px))
        height = ceil(height_px * grow / factor) * factor
        width = ceil(width_px * grow / factor) * factor
    return height, width
