"""How many frames of an H.264 stream have to be decoded for some samples, told by its packets.

Counted apart from ``pipeline.skipping``, by the rule alone: of a group of pictures (from a keyframe
on, in the order of decoding) the reference frames up to the last that is sampled, and of the others
those that are sampled; of a group on which samples of the next depend, all reference frames. A
frame refers to others if it says so in nal_ref_idc (ITU-T H.264, 7.4.1).
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, takewhile

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet

__all__ = ["n_needed"]

# The header of a NAL unit that holds a slice: behind a start code, of the types 1 to 5.
NAL_HEADER = re.compile(b"\0\0\1(.)", re.DOTALL)
SLICE_TYPES = range(1, 6)


@dataclass(kw_only=True)
class Coded:
    """One frame, in the order of decoding."""

    pts: int
    duration: int
    is_key: bool
    is_reference: bool


def n_needed(path: str, fps: float) -> int | None:
    """Frames that have to be decoded for samples at so many a second.

    Returns:
        None where packets do not tell: of other codecs, and where a packet has no time, or the time
        of another.
    """
    with av.open(path) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "h264" or stream.time_base is None:
            return None
        as_byte_stream = BitStreamFilterContext("h264_mp4toannexb", stream)
        time_base = Fraction(stream.time_base)
        frames = []
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None:
                return None
            frames.append(_coded(packet, as_byte_stream))
    times = sorted(frame.pts for frame in frames)
    if len(set(times)) < len(times) or not frames or not frames[0].is_key:
        return None
    sampled = _sampled(times, frames, fps * time_base)
    return _count(frames, sampled)


def _coded(packet: Packet, as_byte_stream: BitStreamFilterContext) -> Coded:
    pts, duration, is_key = packet.pts, packet.duration or 0, packet.is_keyframe
    parts = [bytes(part) for part in as_byte_stream.filter(packet)]  # which empties the packet
    headers = [byte[0] for part in parts for byte in NAL_HEADER.findall(part)]
    slices = [header for header in headers if header & 31 in SLICE_TYPES]
    is_reference = any(header & 0b0110_0000 for header in slices)
    return Coded(pts=pts, duration=duration, is_key=is_key, is_reference=is_reference)


def _sampled(times: list[int], frames: list[Coded], per_tick: Fraction) -> set[int]:
    """Times of the frames that are on the screen at the sampling instants."""
    last = next(frame for frame in frames if frame.pts == times[-1])
    end = times[-1] + max(last.duration, 1)
    instants = takewhile(lambda at: at < end, (times[0] + n / per_tick for n in count()))
    return {times[bisect_right(times, at) - 1] for at in instants}


def _count(frames: list[Coded], sampled: set[int]) -> int:
    starts = [index for index, frame in enumerate(frames) if frame.is_key]
    groups = [
        frames[start:end] for start, end in zip(starts, [*starts[1:], len(frames)], strict=True)
    ]
    needed = 0
    for group, following in zip(groups, [*groups[1:], []], strict=True):
        wanted = [index for index, frame in enumerate(group) if frame.pts in sampled]
        last = wanted[-1] if wanted else -1
        if any(frame.pts in sampled and frame.pts < following[0].pts for frame in following):
            last = len(group) - 1
        needed += sum(frame.is_reference for frame in group[: last + 1])
        needed += sum(not group[index].is_reference for index in wanted)
    return needed
