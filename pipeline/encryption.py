"""Whether a file's pictures are encrypted.

A player without the key decodes such a file to grey and calls it a success, so it has to be
recognised. Three containers say it in their headers: ISO base media (Common Encryption, ISO/IEC
23001-7: the video sample entry is "encv"; "drmi" in older shops), Matroska (ContentEncryption in a
video track) and MPEG transport streams (scrambled packets, ISO/IEC 13818-1). Where none does, what
the decoder makes of it gives it away.
"""

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.boxes import SEGMENT, ebml_elements, is_ebml, is_iso, iso_boxes

__all__ = ["NOISE_MAX_CONTRAST", "decodes_to_noise", "is_encrypted"]

# The way down to the sample entries of a track.
ISO_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
ENCRYPTED_ENTRIES = {b"encv", b"drmi"}
MAX_STSD_BYTES = 1 << 20

TRACKS, TRACK_ENTRY = 0x1654AE6B, 0xAE
CONTENT_ENCODINGS, CONTENT_ENCODING, CONTENT_ENCRYPTION = 0x6D80, 0x6240, 0x5035
TRACK_TYPE, VIDEO_TRACK = 0x83, 1
MAX_TRACKS_BYTES = 1 << 20

# A transport stream: packets of this size, in .m2ts behind four bytes of time.
TS_SYNC, TS_PACKET_BYTES, TS_TIME_BYTES = 0x47, 188, 4
TS_NULL_PID = 0x1FFF
TS_SYNC_PACKETS, TS_LOOK_PACKETS = 100, 20_000

# Noise under a key: nearly every frame is flagged damaged, and all are almost even grey. Measured:
# 98 % and a standard deviation of at most 22; damaged pictures in the clear keep 36 and more.
NOISE_MIN_FRAMES = 10
NOISE_CORRUPT_SHARE = 0.9
NOISE_MAX_CONTRAST = 28.0


def is_encrypted(file: BinaryIO) -> bool:
    """Whether the headers of a seekable file say that its video is encrypted."""
    size_bytes = file.seek(0, 2)
    if is_iso(file):
        entries = set(_iso_sample_entries(file, 0, size_bytes, ISO_PATH))
        return bool(entries & ENCRYPTED_ENTRIES)
    if is_ebml(file):
        return _matroska_encrypted(file, size_bytes)
    return _transport_stream_scrambled(file)


def decodes_to_noise(*, n_frames: int, n_corrupt: int, contrast: float) -> bool:
    """Whether what was decoded looks like ciphertext.

    Args:
        n_frames: frames decoded.
        n_corrupt: of these, how many the decoder flagged as damaged.
        contrast: largest standard deviation of a sampled frame, grey levels.
    """
    return (
        n_frames >= NOISE_MIN_FRAMES
        and n_corrupt >= NOISE_CORRUPT_SHARE * n_frames
        and contrast <= NOISE_MAX_CONTRAST
    )


def _iso_sample_entries(
    file: BinaryIO, start: int, end: int, path: tuple[bytes, ...]
) -> Iterator[bytes]:
    wanted = path[0] if path else b"stsd"
    for kind, begin, finish in iso_boxes(file, start, end):
        if kind != wanted:
            continue
        if path:
            yield from _iso_sample_entries(file, begin, finish, path[1:])
            if kind == ISO_PATH[0]:
                return  # there is one; what comes after it may be thousands of fragments
        else:
            # stsd: version and flags, a count, then boxes whose names are the codecs.
            finish = min(finish, begin + MAX_STSD_BYTES)
            yield from (entry for entry, _, _ in iso_boxes(file, begin + 8, finish))


def _matroska_encrypted(file: BinaryIO, size_bytes: int) -> bool:
    for segment, begin, finish in ebml_elements(file, 0, size_bytes):
        if segment != SEGMENT:
            continue
        for element, tracks_begin, tracks_end in ebml_elements(file, begin, finish):
            if element == TRACKS:
                tracks_end = min(tracks_end, tracks_begin + MAX_TRACKS_BYTES)
                return any(
                    _track_encrypted(file, track_begin, track_end)
                    for kind, track_begin, track_end in ebml_elements(
                        file, tracks_begin, tracks_end
                    )
                    if kind == TRACK_ENTRY
                )
    return False


def _track_encrypted(file: BinaryIO, begin: int, end: int) -> bool:
    is_video = encrypted = False
    for element, content, finish in ebml_elements(file, begin, end):
        if element == TRACK_TYPE:
            file.seek(content)
            is_video = int.from_bytes(file.read(min(finish - content, 8))) == VIDEO_TRACK
        elif element == CONTENT_ENCODINGS:
            encrypted = any(
                part == CONTENT_ENCRYPTION
                for encoding, inner, inner_end in ebml_elements(file, content, finish)
                if encoding == CONTENT_ENCODING
                for part, _, _ in ebml_elements(file, inner, inner_end)
            )
    return is_video and encrypted


def _transport_stream_scrambled(file: BinaryIO) -> bool:
    """Whether most packets of the stream's busiest program part, the pictures, are scrambled."""
    for lead in (0, TS_TIME_BYTES):
        stride = TS_PACKET_BYTES + lead
        file.seek(0)
        content = file.read(stride * TS_SYNC_PACKETS)
        heads = content[lead::stride]
        if len(heads) < 2 or set(heads) != {TS_SYNC}:
            continue
        content += file.read(stride * TS_LOOK_PACKETS)
        starts = range(lead, len(content) - TS_PACKET_BYTES + 1, stride)
        packets, scrambled = Counter[int](), Counter[int]()
        for start in starts:
            pid = int.from_bytes(content[start + 1 : start + 3]) & TS_NULL_PID
            packets[pid] += pid != TS_NULL_PID
            scrambled[pid] += content[start + 3] >> 6 != 0
        pid, n_packets = packets.most_common(1)[0]
        return scrambled[pid] > n_packets / 2
    return False
