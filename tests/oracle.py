"""The ffmpeg program as an independent judge of what a file shows, and as a maker of files.

It is of another major version than the libraries that PyAV brings, its frames come with the times
of its own reckoning, and zimg makes its pictures, not libswscale.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

# Cubic convolution as libswscale has it.
BICUBIC = "filter=bicubic:param_a=0:param_b=0.6"

FRAME = re.compile(
    r" n: *\d+ pts: *(?P<pts>-?\d+) .*duration: *(?P<duration>\d+) .* fmt:(?P<format>\S+) "
    r"cl:(?P<chroma>\S+) sar:(?P<sar>\d+/\d+) s:(?P<width>\d+)x(?P<height>\d+) "
)
TIME_BASE = re.compile(r"config in time_base: (\d+/\d+)")
COLOURS = re.compile(r"color_space:(?P<matrix>\S+) .*color_trc:(?P<transfer>\S+)")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What ffmpeg shows of a stream.

    Attributes:
        time_base: seconds a tick.
        pts: presentation of each frame, in the order of the frames, ticks.
        end_pts: end of the last one.
        height: of the first frame as a player shows it, pixel aspect applied.
        width: likewise.
        is_hd: whether the pictures, as stored, are larger than those of standard definition.
        is_hdr: whether the first frame says that it is PQ or HLG.
        is_odd: whether a side is odd and chroma is halved, which zimg does not take.
        matrix: what the first frame names; "unknown" where it names none.
        chroma: where the first frame says that its chroma lies.
    """

    time_base: Fraction
    pts: list[int]
    end_pts: int
    height: int
    width: int
    is_hd: bool
    is_hdr: bool
    is_odd: bool
    matrix: str
    chroma: str

    def sampled(self, sample_fps: Fraction) -> list[int]:
        """The pts on the screen at the instants, found one by one."""
        seconds = [(pts - self.pts[0]) * self.time_base for pts in [*self.pts, self.end_pts]]
        found, frame = [], 0
        for instant in range(int(seconds[-1] * sample_fps) + 1):
            time_s = instant / sample_fps
            while frame < len(self.pts) and seconds[frame + 1] <= time_s:
                frame += 1
            if frame < len(self.pts) and self.pts[frame] not in found[-1:]:
                found.append(self.pts[frame])
        return found


def ffmpeg(
    *arguments: str | Path, folder: Path | None = None, may_fail: bool = False
) -> tuple[bytes, str]:
    """What the program wrote to its standard output and error, run in a folder.

    Raises:
        AssertionError: if it failed and was not allowed to.
    """
    done = subprocess.run(
        [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-y", "-filter_threads", "1"]
        + [str(argument) for argument in arguments],
        capture_output=True,
        cwd=folder,
        timeout=120,
    )
    errors = done.stderr.decode(errors="replace")
    assert may_fail or done.returncode == 0, errors[-2000:]
    return done.stdout, errors


def shown(path: Path, stream: int, *, max_frames: int = 1 << 30) -> Shown:
    """The first frames of a stream, or all."""
    few = ("-frames:v", str(max_frames + 1))  # the one behind the last says when that ends
    _, log = _filtered(path, stream, "showinfo=checksum=0", *few, "-f", "null", "-")
    colours = COLOURS.search(log)
    frames = [match.groupdict() for match in FRAME.finditer(log)]
    times = [int(frame["pts"]) for frame in frames]
    times.append(times[-1] + int(frames[-1]["duration"]))
    n_frames = min(len(frames), max_frames)
    first = frames[0]
    across, down = int(first["width"]), int(first["height"])
    aspect = Fraction(first["sar"]) if not first["sar"].startswith("0/") else Fraction(1)
    stored = re.search(rf"Stream #0:{stream}\b.* Video: .*?, (\d+)x(\d+)\b", log)
    is_turned = (across, down) != (int(stored[1]), int(stored[2]))
    return Shown(
        time_base=Fraction(TIME_BASE.search(log)[1]),
        pts=times[:n_frames],
        end_pts=times[n_frames],
        height=down if not is_turned else round(down / aspect),
        width=across if is_turned else round(across * aspect),
        is_hd=int(stored[1]) >= 1280 or int(stored[2]) > 576,
        is_hdr=colours["transfer"] in {"smpte2084", "arib-std-b67"},
        is_odd=bool(across % 2 or down % 2) and first["format"] == "yuv420p",
        matrix=colours["matrix"],
        chroma=first["chroma"],
    )


def pictures(
    path: Path,
    stream: int,
    pts: Sequence[int],
    size: tuple[int, int],
    *,
    matrix: str,
    chroma: str,
    is_odd: bool = False,
) -> NDArray[np.uint8]:
    """The frames of these pts as upright RGB uint8 [N, H, W, 3] of the size (H, W).

    Odd ones are scaled by the program's own libswscale.
    """
    height, width = size
    if is_odd:
        flags = "flags=bicubic+full_chroma_int+accurate_rnd"
        filters = f"scale={width}:{height}:{flags}:in_color_matrix={matrix}:in_chroma_loc={chroma}"
    else:
        filters = f"zscale={width}:{height}:{BICUBIC}:min={matrix}:m=gbr:r=full:cin={chroma}"
        filters = f"{filters},format=gbrp"
    raw = _raw(path, stream, pts, f"{filters},format=rgb24")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def light(
    path: Path, stream: int, pts: Sequence[int], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The same frames of an HDR stream as light, cd/m2 of BT.2020's R, G, B: [N, H, W, 3]."""
    height, width = size
    scaled = f"zscale={width}:{height}:{BICUBIC}:m=gbr:r=full,format=gbrp16le"
    linear = "zscale=t=linear:npl=1:agamma=false,format=gbrpf32le"
    raw = _raw(path, stream, pts, f"{scaled},{linear}")
    green_blue_red = np.frombuffer(raw, "<f4").reshape(-1, 3, height, width)
    return green_blue_red[:, [2, 0, 1]].transpose(0, 2, 3, 1)


def _raw(path: Path, stream: int, pts: Sequence[int], filters: str) -> bytes:
    chosen = "+".join(f"eq(pts,{each})" for each in pts)
    few = ("-frames:v", str(len(pts)))
    raw, _ = _filtered(path, stream, f"select='{chosen}',{filters}", *few, "-f", "rawvideo", "-")
    return raw


def _filtered(path: Path, stream: int, filters: str, *output: str) -> tuple[bytes, str]:
    return ffmpeg(
        *("-threads", "1", "-copyts", "-i", path, "-map", f"0:{stream}"),
        *("-fps_mode", "passthrough", "-enc_time_base", "demux", "-vf", filters, *output),
        may_fail=True,  # of a damaged file it shows what there is, as we do
    )
