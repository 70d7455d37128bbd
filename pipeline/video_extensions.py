"""Which files of a folder, and objects under a prefix, are videos: those of known extensions."""

import os

__all__ = ["VIDEO_EXTENSIONS", "extension", "is_video"]

VIDEO_EXTENSIONS = frozenset(
    """3g2 3gp amv asf av1 avi divx dv f4v flv h264 h265 264 265 hevc ivf m1v m2p m2t m2ts m2v m4v
    mjpeg mjpg mkv mod mov mp4 mpe mpeg mpg mpv mts mxf nut obu ogm ogv ps qt rm rmvb ts vob vp8 vp9
    vvc webm wmv y4m""".split()
)


def extension(name: str) -> str:
    """Of a path or URI, in lower case without a dot; empty where it has none."""
    return os.path.splitext(name)[1].removeprefix(".").lower()


def is_video(name: str) -> bool:
    """Whether a listing of what holds it takes it."""
    return extension(name) in VIDEO_EXTENSIONS
