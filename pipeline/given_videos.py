"""Which videos have been given already, in a fraction of what their names would take."""

from collections import defaultdict

__all__ = ["GivenVideos"]

# Of an id's 16 bytes, those that choose one of 65,536 buckets; the bucket holds the others.
BUCKET_BYTES, REST_BYTES = 2, 14


class GivenVideos:
    """A set of video ids; a million of them take some 25 MB."""

    def __init__(self) -> None:
        self._buckets: dict[bytes, bytearray] = defaultdict(bytearray)

    def add(self, video_id: str) -> bool:
        """Remember it; says whether it is new."""
        if video_id in self:
            return False
        bucket, rest = _split(video_id)
        self._buckets[bucket] += rest
        return True

    def __contains__(self, video_id: str) -> bool:
        if not self._buckets:
            return False
        bucket, rest = _split(video_id)
        held = self._buckets.get(bucket, b"")
        place = held.find(rest)
        while place % REST_BYTES and place >= 0:  # it spans two others
            place = held.find(rest, place + 1)
        return place >= 0


def _split(video_id: str) -> tuple[bytes, bytes]:
    digest = bytes.fromhex(video_id)
    return digest[:BUCKET_BYTES], digest[BUCKET_BYTES:]
