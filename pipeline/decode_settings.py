"""What the decode of one video may take, and what a video may be."""

from dataclasses import dataclass

from pipeline.setting_ranges import ABOVE_ZERO, AT_LEAST_ONE, in_ranges

__all__ = ["DecodeSettings"]

DAY_S = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """Limits of the supervised decode child; none of them changes what a good video gives.

    Attributes:
        progress_timeout_s: Longest wait for a packet or frame before the decoder is hung, seconds.
        decode_timeout_s: Longest wait for all of a video, however it goes on, seconds.
        memory_limit_mib: Address space of one decode child, MiB.
        tries: How often a video may take its decode child down before it is quarantined.
        max_duration_s: Longer videos are skipped, seconds.
        max_size_mib: Larger files are skipped, MiB. Default: no limit.
        max_side_px: Videos with a longer side are skipped, pixels as stored.
        max_frame_pixels: Videos of larger frames are skipped, pixels as stored.
        max_streams: Files of more streams are skipped.
        thumbnails: Store one small JPEG a clip.
    """

    progress_timeout_s: float = 10.0
    decode_timeout_s: float = DAY_S
    memory_limit_mib: int = 4096
    tries: int = 2
    max_duration_s: float = 30 * DAY_S
    max_size_mib: int | None = None
    max_side_px: int = 32_768
    max_frame_pixels: int = 2**27
    max_streams: int = 256
    thumbnails: bool = True

    def __post_init__(self) -> None:
        in_ranges(self, progress_timeout_s=(0.1, DAY_S), tries=(1, 100))
        in_ranges(self, decode_timeout_s=ABOVE_ZERO)
        in_ranges(self, memory_limit_mib=(64, 2**30), max_duration_s=ABOVE_ZERO)
        in_ranges(self, max_size_mib=AT_LEAST_ONE, max_side_px=AT_LEAST_ONE)
        in_ranges(self, max_frame_pixels=AT_LEAST_ONE, max_streams=(1, 10_000))
