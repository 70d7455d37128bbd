"""Sampled frames without decoding those that nobody needs.

From packets alone it is known when each frame is shown, so which frames are sampled is known before
any is decoded. Of a group of pictures (a keyframe and what follows it) nothing behind the last
sampled frame is decoded, and before it no frame that no other is made from. What is decoded is
decoded as ever, so the samples are the same to the bit.

All of that rests on packets that tell the truth. Whatever does not come out as they said ends it,
before a sample that could be another: then everything is decoded (``pipeline.sampled_frames``).
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import takewhile

import av
from av.packet import Packet
from av.video.frame import VideoFrame

from pipeline.coded_frames import CodedFrame, PacketSyntax
from pipeline.container import OpenVideo
from pipeline.decode import MOST_TICKS, DecodeReport, TimedFrame
from pipeline.decode_limits import refuse_large
from pipeline.sampling import InstantSampler
from pipeline.timetable import Timetable, Untrue

__all__ = ["SkippingDecoder"]

# Packets that wait for the end of their group; a longer group is decoded from its front on.
MOST_WAITING, MOST_WAITING_BYTES = 1_000, 32 << 20

# Packets so large that even those cannot be waited for which say when the first is over; frames
# that a decoder has been given and keeps for itself.
MOST_UNDECIDED_BYTES, MOST_OWED = 128 << 20, 1_000


class SkippingDecoder:
    """The sampled frames of one video that was just opened."""

    def __init__(
        self,
        video: OpenVideo,
        sampler: InstantSampler,
        report: DecodeReport,
        beat: Callable[[], None],
    ) -> None:
        self._video, self._report, self._beat = video, report, beat
        self._syntax = PacketSyntax(video.stream)
        self._timetable = Timetable(video, sampler, report)
        self._waiting: deque[CodedFrame] = deque()  # in the order of decoding
        self._keys: deque[CodedFrame] = deque()  # those of them that begin a group
        self._waiting_bytes = 0
        self._key_pts: int | None = None  # of the group that is being decoded
        self._is_broken_off = False  # before the next packet, frames were left out
        self._has_no_past = False  # frames were left out before the group's keyframe
        self._fed: dict[int, int | None] = {}  # times that the decoder owes, with a sample's end
        self._last_pts: int | None = None

    def frames(self) -> Iterator[TimedFrame]:
        """In their order.

        Raises:
            Untrue: at any time.
            VideoRejected: too_large.
        """
        for coded in self._packets():
            self._take(coded)
            if self._timetable.is_over:
                break
            # Two groups, since the second may lead with samples that are made from the first.
            while len(self._keys) > 2 and self._timetable.has_decided(self._keys[2].number):
                yield from self._group()
            while self._is_full() and self._timetable.has_decided(self._waiting[0].number + 1):
                yield from self._decode(self._pop())
            if self._waiting_bytes > MOST_UNDECIDED_BYTES:
                raise Untrue("packets are too large to wait for the next ones")
        self._timetable.close()
        while self._waiting:
            yield from self._group()
        yield from self._rest()

    def _packets(self) -> Iterator[CodedFrame]:
        try:
            for number, packet in enumerate(self._video.container.demux(self._video.stream)):
                self._beat()
                if not packet.size:
                    return
                if packet.pts is None or abs(packet.pts) > MOST_TICKS or packet.is_corrupt:
                    raise Untrue("a packet has no time, or is torn")
                yield CodedFrame(
                    packet,
                    number,
                    packet.pts,
                    is_key=packet.is_keyframe,
                    is_needed=self._syntax.is_needed(packet),
                    is_shown=self._syntax.is_shown(packet),
                )
        except (av.error.FFmpegError, IndexError, ValueError) as error:
            raise Untrue(f"the container breaks off, or a packet is torn: {error}") from error

    def _take(self, coded: CodedFrame) -> None:
        if self._key_pts is None and not self._keys and not coded.is_key:
            raise Untrue("the stream does not begin with a keyframe")
        self._waiting.append(coded)
        self._waiting_bytes += coded.packet.size
        if coded.is_key:
            self._keys.append(coded)
        if self._key_pts is None and coded.pts < self._keys[0].pts:
            # It is made from frames before the stream's beginning. Should it come out, it is seen.
            coded.is_needed, coded.is_shown = True, False
        self._timetable.add(coded)

    def _is_full(self) -> bool:
        return len(self._waiting) > MOST_WAITING or self._waiting_bytes > MOST_WAITING_BYTES

    def _group(self) -> Iterator[TimedFrame]:
        """Decode what is needed of the first group that waits."""
        group = [self._pop()]
        while self._waiting and not self._waiting[0].is_key:
            group.append(self._pop())
        if self._is_needed_by_next():
            n_needed = len(group)
        else:
            n_needed = max((n for n, coded in enumerate(group, 1) if coded.is_sampled), default=0)
        for coded in group[:n_needed]:
            yield from self._decode(coded)
        if n_needed < len(group):
            yield from self._rest()
            self._is_broken_off = True

    def _is_needed_by_next(self) -> bool:
        """Whether a sample that is shown before the next keyframe is decoded after it."""
        if not self._waiting:
            return False
        key, *others = self._waiting
        group = takewhile(lambda coded: not coded.is_key, others)
        return any(coded.is_sampled and coded.pts < key.pts for coded in group)

    def _pop(self) -> CodedFrame:
        coded = self._waiting.popleft()
        self._waiting_bytes -= coded.packet.size
        if coded.is_key:
            self._keys.popleft()
        return coded

    def _decode(self, coded: CodedFrame) -> Iterator[TimedFrame]:
        """A packet, unless nobody needs it; the samples that come out, of this or one before."""
        if coded.is_key:
            if self._is_broken_off:
                self._video.stream.codec_context.flush_buffers()
            self._has_no_past = self._is_broken_off
            self._key_pts, self._is_broken_off = coded.pts, False
        elif not coded.is_sampled:
            # What is shown before its keyframe is needed by nothing that is shown after it, and
            # cannot be decoded without what was before.
            leads = self._key_pts is not None and coded.pts < self._key_pts
            if not coded.is_needed or (leads and self._has_no_past):
                return
        if coded.is_shown:
            self._fed[coded.pts] = coded.end_pts
            if len(self._fed) > MOST_OWED:
                raise Untrue("frames do not come out")
        yield from self._samples(coded.packet)

    def _rest(self) -> Iterator[TimedFrame]:
        """What the decoder still holds back."""
        yield from self._samples(None)
        if any(end_pts is not None for end_pts in self._fed.values()):
            raise Untrue("a sampled frame did not come out")
        self._fed.clear()

    def _samples(self, packet: Packet | None) -> Iterator[TimedFrame]:
        try:
            images = self._video.stream.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            raise Untrue("a packet does not decode") from error
        for image in images:
            self._report.n_frames += 1
            self._beat()
            refuse_large(image.width, image.height, self._video.limits)
            yield from self._sample(image)

    def _sample(self, image: VideoFrame) -> Iterator[TimedFrame]:
        if image.is_corrupt or image.pts is None or image.pts not in self._fed:
            raise Untrue("a frame is damaged, or another than was announced")
        if self._last_pts is not None and image.pts <= self._last_pts:
            raise Untrue("frames come out of order")
        self._last_pts = image.pts
        end_pts = self._fed.pop(image.pts)
        if end_pts is not None:
            yield TimedFrame(image=image, pts=image.pts, end_pts=end_pts)
