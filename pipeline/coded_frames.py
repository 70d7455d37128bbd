"""What a packet says of its frame before it is decoded: do others need it, and is it shown.

Only what a codec's syntax states outright is believed: H.264's nal_ref_idc (ITU-T H.264, 7.4.1),
HEVC's sub-layer non-reference pictures (ITU-T H.265, table 7-1), B-pictures of MPEG-1, -2 (ITU-T
H.262, 6.3.9) and -4 part 2, and VP8's show_frame (RFC 6386, 9.1). Where nothing is said, a frame is
needed and shown.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from av.packet import Packet
from av.video.stream import VideoStream

__all__ = ["SKIPPABLE_CODECS", "CodedFrame", "PacketSyntax"]

# Codecs of which a keyframe needs nothing that was before it, and one packet is one frame.
SKIPPABLE_CODECS = frozenset(
    "av1 h264 hevc libdav1d mjpeg mpeg1video mpeg2video mpeg4 prores vp8 vp9".split()
)

START_CODE = b"\0\0\1"

H264_SLICES = range(1, 6)
HEVC_SLICES, HEVC_NON_REFERENCE = range(32), frozenset(range(0, 16, 2))

# A configuration record, in place of start codes, begins with its version; where it gives the
# length of a NAL unit's length, and HEVC's number of temporal sub-layers.
RECORD_VERSION, H264_LENGTH_AT, HEVC_LENGTH_AT = 1, 4, 21

VP8_SHOW_FRAME = 0x10

# Start codes of a picture and of a plane, and what stands behind them of a B-picture.
MPEG2_PICTURE, MPEG2_B = START_CODE + b"\0", 3
MPEG4_PLANE, MPEG4_B = START_CODE + b"\xb6", 2


@dataclass(slots=True, eq=False)
class CodedFrame:
    """A packet, and what is known of its frame.

    Attributes:
        packet: PyAV's.
        number: 0, 1, ... in the order of decoding.
        pts: of its frame, ticks.
        is_key: nothing before it is needed for it, or for what is shown after it.
        is_needed: others may be made from it.
        is_shown: whether it comes out of the decoder.
        end_pts: of a sampled frame, when the next is shown; None: it is not sampled.
    """

    packet: Packet
    number: int
    pts: int
    is_key: bool
    is_needed: bool
    is_shown: bool
    end_pts: int | None = None

    @property
    def is_sampled(self) -> bool:
        """Whether it is known to be."""
        return self.end_pts is not None

    def __lt__(self, other: "CodedFrame") -> bool:
        return self.pts < other.pts


class PacketSyntax:
    """Reads the first bytes of a stream's packets."""

    def __init__(self, stream: VideoStream) -> None:
        extradata = stream.codec_context.extradata or b""
        self._length_bytes = 0
        self._is_needed: Callable[[Packet], bool] = _always
        self.is_shown: Callable[[Packet], bool] = _is_shown
        codec = stream.codec_context.name
        if codec == "h264":
            self._length_bytes = _length_bytes(extradata, H264_LENGTH_AT)
            self._is_needed = self._h264_is_needed
        elif codec == "hevc" and len(extradata) > HEVC_LENGTH_AT:
            self._length_bytes = _length_bytes(extradata, HEVC_LENGTH_AT)
            # With several, a frame that its own sub-layer does not need may be needed by another.
            if self._length_bytes and extradata[HEVC_LENGTH_AT] >> 3 & 7 == 1:
                self._is_needed = self._hevc_is_needed
        elif codec in ("mpeg1video", "mpeg2video"):
            self._is_needed = _mpeg2_is_needed
        elif codec == "mpeg4":
            self._is_needed = _mpeg4_is_needed
        elif codec == "vp8":
            self.is_shown = _vp8_is_shown

    def is_needed(self, packet: Packet) -> bool:
        """Whether other frames may be made from its frame.

        Raises:
            ValueError: if the packet is no row of whole NAL units, where it should be.
        """
        return self._is_needed(packet)

    def _h264_is_needed(self, packet: Packet) -> bool:
        headers = list(self._nal_headers(packet))
        slices = [header for header in headers if header & 0x1F in H264_SLICES]
        return not slices or any(header >> 5 & 3 for header in slices)

    def _hevc_is_needed(self, packet: Packet) -> bool:
        kinds = [header >> 1 & 0x3F for header in self._nal_headers(packet)]
        slices = [kind for kind in kinds if kind in HEVC_SLICES]
        return not slices or any(kind not in HEVC_NON_REFERENCE for kind in slices)

    def _nal_headers(self, packet: Packet) -> Iterator[int]:
        """First byte of each NAL unit."""
        place, width = 0, self._length_bytes
        if not width:
            _, *units = bytes(packet).split(START_CODE)
            yield from (unit[0] for unit in units if unit)
            return
        content = memoryview(packet)  # not copied for a few bytes of it
        while place + width < len(content):
            length = int.from_bytes(content[place : place + width])
            yield content[place + width]
            place += width + length
        if place != len(content):
            raise ValueError(f"NAL units end at byte {place} of {len(content)}")


def _length_bytes(extradata: bytes, place: int) -> int:
    """Bytes of a NAL unit's length; 0: units begin with a start code."""
    is_record = len(extradata) > place and extradata[0] == RECORD_VERSION
    return (extradata[place] & 3) + 1 if is_record else 0


def _always(_: Packet) -> bool:
    return True


def _mpeg2_is_needed(packet: Packet) -> bool:
    _, *pictures = bytes(packet).split(MPEG2_PICTURE)  # two, where fields come apart
    # The kind follows ten bits of the order in which pictures are shown.
    return not pictures or any(len(p) < 2 or p[1] >> 3 & 7 != MPEG2_B for p in pictures)


def _mpeg4_is_needed(packet: Packet) -> bool:
    _, *planes = bytes(packet).split(MPEG4_PLANE)  # two, where a B-picture rides on another's back
    return len(planes) != 1 or not planes[0] or planes[0][0] >> 6 != MPEG4_B


def _is_shown(packet: Packet) -> bool:
    return not packet.is_discard


def _vp8_is_shown(packet: Packet) -> bool:
    return not packet.is_discard and bool(memoryview(packet)[0] & VP8_SHOW_FRAME)
