"""When each frame of a stream is shown, and so whether it is sampled, from its packets alone.

Packets come in the order of decoding. A frame's end is the next one's beginning, and which that is
is known as soon as no frame can come between them any more.
"""

from heapq import heappop, heappush

from pipeline.coded_frames import CodedFrame
from pipeline.container import OpenVideo
from pipeline.decode import DecodeReport, frame_duration
from pipeline.sampling import InstantSampler

__all__ = ["Timetable", "Untrue"]

# So many frames at the most are decoded before one that is shown before them (H.264 A.3.1, HEVC
# A.4.2).
MOST_REORDERED = {"h264": 16, "hevc": 16}
MOST_REORDERED_OTHERWISE = 1


class Untrue(Exception):
    """What came out is not what the packets said: everything has to be decoded."""


class Timetable:
    """Decides of frames, in the order of their times, whether they are sampled."""

    def __init__(self, video: OpenVideo, sampler: InstantSampler, report: DecodeReport) -> None:
        self._video, self._sampler, self._report = video, sampler, report
        self._most_reordered = MOST_REORDERED.get(video.codec, MOST_REORDERED_OTHERWISE)
        self._undecided: list[CodedFrame] = []  # a heap by time
        self._decided_to_pts: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether all that was asked for has been decided."""
        return self._sampler.over_pts is not None

    def has_decided(self, number: int) -> bool:
        """Whether it is known of all frames that are decoded before that one."""
        return all(frame.number >= number for frame in self._undecided)

    def add(self, frame: CodedFrame) -> None:
        """The next in the order of decoding; decides what can be decided by it.

        Raises:
            Untrue: if it should have been there before.
        """
        if self._decided_to_pts is not None and frame.pts < self._decided_to_pts:
            raise Untrue("a frame comes later than its time")
        if frame.is_shown:
            heappush(self._undecided, frame)
        while len(self._undecided) > self._most_reordered + 1 and not self.is_over:
            self._decide()

    def close(self) -> None:
        """Decide the rest: no frame is to come, or none that was asked for."""
        while self._undecided and not self.is_over:
            self._decide()
        if self._sampler.over_pts is not None:
            self._report.end_pts, self._report.left_early = self._sampler.over_pts, True

    def _decide(self) -> None:
        frame = heappop(self._undecided)
        if self._undecided:
            end_pts = self._undecided[0].pts
        else:
            end_pts = frame.pts + frame_duration(frame.packet, self._video)
            self._report.end_pts = end_pts
        if end_pts == frame.pts:
            raise Untrue("two frames have one time")
        self._decided_to_pts = end_pts
        if self._sampler.holds_instant(frame.pts, end_pts):
            frame.end_pts = end_pts
        self._report.first_pts = self._sampler.first_pts
