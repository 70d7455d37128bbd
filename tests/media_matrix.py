"""Small videos of many kinds, made by the ffmpeg program: codecs, containers, times, colours."""

from pathlib import Path

from oracle import ffmpeg


def moving(*, size: str = "128x96", rate: str = "25", filters: str = "null") -> list[str]:
    """Two seconds in which something moves all the time, with sharp edges in all colours."""
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d=2,{filters}"]


def h264(extra: str = "bframes=3", pixels: str = "yuv420p") -> list[str]:
    """Of x264's arguments, those that all need."""
    return [
        *("-pix_fmt", pixels, "-c:v", "libx264", "-preset", "superfast"),
        *("-x264-params", f"threads=1:keyint=12:{extra}"),
    ]


def hevc(pixels: str = "yuv420p") -> list[str]:
    """Likewise of x265's."""
    return [
        *("-pix_fmt", pixels, "-c:v", "libx265", "-preset", "ultrafast"),
        *("-x265-params", "pools=1:frame-threads=1:log-level=error:keyint=12:bframes=3"),
    ]


def matrix(name: str) -> list[str]:
    """Pictures in this matrix, which the stream names."""
    filters = f"scale=out_color_matrix={name.removesuffix('nc')}"
    return [*moving(filters=filters), "-colorspace", name, *h264()]


def hdr(transfer: str) -> list[str]:
    """Pictures that the stream says are of BT.2020 with this transfer."""
    tags = f"color_primaries=bt2020:colorspace=bt2020nc:color_trc={transfer}"
    return [*moving(filters=f"format=yuv420p10le,setparams={tags}"), *hevc("yuv420p10le")]


def vpx(codec: str) -> list[str]:
    """Of libvpx's arguments, those that make it fast."""
    return ["-pix_fmt", "yuv420p", "-c:v", codec, "-deadline", "realtime", "-cpu-used", "8"]


def copied(name: str, *before: str) -> list[str]:
    """The packets of another file of the matrix, read with these options."""
    return [*before, "-i", name, "-c", "copy"]


MPEG2 = ["-pix_fmt", "yuv420p", "-c:v", "mpeg2video", "-bf", "2", "-q:v", "3"]
MPEG4 = ["-pix_fmt", "yuv420p", "-c:v", "mpeg4", "-bf", "2", "-q:v", "3"]
MJPEG = ["-pix_fmt", "yuvj420p", "-c:v", "mjpeg", "-q:v", "3"]
WOVEN = "tinterlace=interleave_top,setfield=tff"  # two moments in the lines of one frame
ODD = "scale=127:95"
HD_UNTAGGED = ["-bsf:v", "h264_metadata=matrix_coefficients=2"]
SIZE_CHANGES = "concat:small.ts|large.ts"
GOES_BACK = "setts=pts='PTS-if(eq(N,20),1536,0)':dts='DTS-2560'"  # the 20th, by 120 ms

# Options of ffmpeg behind the output's name; in order, since some are made from others.
MADE = {
    "h264_open_groups.mp4": [*moving(), *h264("bframes=3:open-gop=1")],
    "h264_open_groups.ts": [*moving(), *h264("bframes=3:open-gop=1")],
    "h264_without_times.264": [*moving(), *h264("bframes=0")],
    "h264_of_bframes.avi": [*moving(), *h264()],
    "hevc.mkv": [*moving(), *hevc()],
    "vp8.webm": [*moving(), *vpx("libvpx")],
    "vp9.webm": [*moving(), *vpx("libvpx-vp9")],
    "av1.mp4": [*moving(), "-pix_fmt", "yuv420p", "-c:v", "libsvtav1", "-preset", "12"],
    "mpeg2.ts": [*moving(), *MPEG2],
    "h264_pts_missing.mpg": [*moving(), *h264()],
    "mpeg4.avi": [*moving(), *MPEG4],
    "mjpeg_full_range.mov": [*moving(), *MJPEG],
    "prores_422_10bit.mov": [*moving(), "-c:v", "prores_ks"],
    "rate_59.94.mp4": [*moving(rate="60000/1001"), *h264()],
    "rate_23.976.mkv": [*moving(rate="24000/1001"), *h264()],
    "rate_varies.mkv": [
        *moving(filters="select='not(mod(n,7))+not(mod(n,11))+lt(n,9)'"),
        *("-fps_mode", "vfr", *h264()),
    ],
    "starts_late.ts": [*moving(), *h264(), "-output_ts_offset", "12.345"],
    "starts_late.mp4": [*moving(), *h264(), "-output_ts_offset", "3.2"],
    "starts_late.mkv": [*moving(), *h264(), "-output_ts_offset", "3.2"],
    "edit_list.mp4": copied("h264_open_groups.mp4", "-ss", "0.7"),
    "upright_444.mp4": [*moving(), *h264(pixels="yuv444p")],
    "turned_90.mp4": copied("upright_444.mp4", "-display_rotation", "90"),
    "turned_180.mp4": copied("upright_444.mp4", "-display_rotation", "180"),
    "turned_270.mov": copied("upright_444.mp4", "-display_rotation", "270"),
    "mirrored.mp4": copied("upright_444.mp4", "-display_rotation", "90", "-display_hflip"),
    "wide_pixels.mp4": [*moving(filters="setsar=16/11"), *h264(pixels="yuv444p")],
    "wide_pixels_turned.mp4": copied("wide_pixels.mp4", "-display_rotation", "90"),
    "high_pixels.mkv": [*moving(filters="setsar=10/11"), *h264()],
    "h264_10bit.mp4": [*moving(), *h264(pixels="yuv420p10le")],
    "h264_full_range.mp4": [
        *moving(filters="scale=out_range=full:out_color_matrix=bt709"),
        *("-colorspace", "bt709", *h264(pixels="yuvj420p")),
    ],
    "bt601.mp4": matrix("smpte170m"),
    "bt709.mp4": matrix("bt709"),
    "bt2020.mp4": matrix("bt2020nc"),
    "untagged_sd.mp4": [*moving(size="720x576", rate="3"), *h264()],
    "untagged_hd.mp4": [*moving(size="1280x720", rate="3"), *h264(), *HD_UNTAGGED],
    "woven_h264.ts": [*moving(rate="50", filters=WOVEN), *h264("tff=1"), "-flags", "+ildct+ilme"],
    "woven_mpeg2.mpg": [*moving(rate="50", filters=WOVEN), *MPEG2, "-flags", "+ildct+ilme"],
    "odd_sides_444.mp4": [*moving(filters=ODD), *h264(pixels="yuv444p")],
    "odd_sides.webm": [*moving(filters=ODD), *vpx("libvpx-vp9")],
    "rgb.mov": [*moving(size="256x192", rate="5"), "-pix_fmt", "rgb24", "-c:v", "png"],
    "grey.mkv": [*moving(), "-pix_fmt", "gray", "-c:v", "ffv1"],
    "small.ts": [*moving(), *h264()],
    "large.ts": [*moving(size="160x160"), *h264(), "-output_ts_offset", "4"],
    "size_changes.ts": ["-i", SIZE_CHANGES, "-c", "copy", "-copyts"],
    "cut.mkv": copied("rate_varies.mkv"),
    "cut.ts": copied("h264_open_groups.ts"),
    "cut.mp4": [*copied("h264_open_groups.mp4"), "-movflags", "faststart"],
    "begins_in_a_group.ts": copied("h264_open_groups.ts"),
    "goes_back.mkv": [*copied("mjpeg_full_range.mov"), "-bsf:v", GOES_BACK],
    "pq.mp4": hdr("smpte2084"),
    "hlg.mkv": hdr("arib-std-b67"),
}

# What is kept of some, in tenths of their bytes.
KEPT = {"cut.mkv": (0, 6), "cut.ts": (0, 6), "cut.mp4": (0, 6), "begins_in_a_group.ts": (4, 10)}

HDR = ["pq.mp4", "hlg.mkv"]
DISORDERED = ["goes_back.mkv"]


def make(folder: Path) -> None:
    """Every file of the matrix, into a folder."""
    for name, arguments in MADE.items():
        ffmpeg(*arguments, "-threads", "1", name, folder=folder)
    for name, (begin, end) in KEPT.items():
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[len(whole) * begin // 10 : len(whole) * end // 10])
