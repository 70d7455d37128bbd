"""Whether a file's pictures are encrypted, from its headers alone.

A player without the key decodes such a file to grey and calls it a success, so it has to be
recognised before. Two containers carry encryption: ISO base media (Common Encryption, ISO/IEC
23001-7: the video sample entry is "encv") and Matroska (ContentEncryption in a video track).

Both walks are bounded: they follow the boxes they know, in a file of any content.
"""

from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["is_encrypted"]

# The way down to the sample entries of a track.
ISO_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
ISO_TOP_LEVEL = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx", b"moof"}
MAX_STSD_BYTES = 1 << 20

EBML, SEGMENT, TRACKS, TRACK_ENTRY = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE
CONTENT_ENCODINGS, CONTENT_ENCODING, CONTENT_ENCRYPTION = 0x6D80, 0x6240, 0x5035
TRACK_TYPE, VIDEO_TRACK = 0x83, 1
MAX_TRACKS_BYTES = 1 << 20

MAX_BOXES = 100_000


def is_encrypted(file: BinaryIO) -> bool:
    """Whether the headers of a seekable file say that its video is encrypted."""
    file.seek(0)
    head = file.read(12)
    if head[4:8] in ISO_TOP_LEVEL:
        size_bytes = file.seek(0, 2)
        return any(kind == b"encv" for kind in _iso_sample_entries(file, 0, size_bytes, ISO_PATH))
    if int.from_bytes(head[:4]) == EBML:
        return _matroska_encrypted(file)
    return False


def _iso_sample_entries(
    file: BinaryIO, start: int, end: int, path: tuple[bytes, ...]
) -> Iterator[bytes]:
    wanted = path[0] if path else b"stsd"
    for kind, begin, finish in _iso_boxes(file, start, end):
        if kind != wanted:
            continue
        if path:
            yield from _iso_sample_entries(file, begin, finish, path[1:])
        else:
            # stsd: version and flags, a count, then boxes whose names are the codecs.
            finish = min(finish, begin + MAX_STSD_BYTES)
            yield from (entry for entry, _, _ in _iso_boxes(file, begin + 8, finish))


def _iso_boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Boxes between two offsets: name, begin and end of the content."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        header = file.read(16)
        size, kind, content = int.from_bytes(header[:4]), header[4:8], start + 8
        if size == 1:
            size, content = int.from_bytes(header[8:16]), start + 16
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        yield kind, content, min(start + size, end)
        start += size


def _matroska_encrypted(file: BinaryIO) -> bool:
    size_bytes = file.seek(0, 2)
    for segment, begin, finish in _ebml_elements(file, 0, size_bytes):
        if segment != SEGMENT:
            continue
        for element, tracks_begin, tracks_end in _ebml_elements(file, begin, finish):
            if element == TRACKS:
                tracks_end = min(tracks_end, tracks_begin + MAX_TRACKS_BYTES)
                return any(
                    _track_encrypted(file, track_begin, track_end)
                    for kind, track_begin, track_end in _ebml_elements(
                        file, tracks_begin, tracks_end
                    )
                    if kind == TRACK_ENTRY
                )
    return False


def _track_encrypted(file: BinaryIO, begin: int, end: int) -> bool:
    is_video = encrypted = False
    for element, content, finish in _ebml_elements(file, begin, end):
        if element == TRACK_TYPE:
            file.seek(content)
            is_video = int.from_bytes(file.read(finish - content)) == VIDEO_TRACK
        elif element == CONTENT_ENCODINGS:
            encrypted = any(
                part == CONTENT_ENCRYPTION
                for encoding, inner, inner_end in _ebml_elements(file, content, finish)
                if encoding == CONTENT_ENCODING
                for part, _, _ in _ebml_elements(file, inner, inner_end)
            )
    return is_video and encrypted


def _ebml_elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Elements between two offsets: id, begin and end of the content."""
    for _ in range(MAX_BOXES):
        if start >= end:
            return
        file.seek(start)
        head = file.read(12)
        if not head or not head[0]:
            return
        id_length = 9 - head[0].bit_length()
        size_head = head[id_length : id_length + 1]
        if id_length > 4 or not size_head or not size_head[0]:
            return
        size_length = 9 - size_head[0].bit_length()
        raw = int.from_bytes(head[id_length : id_length + size_length])
        size = raw & ((1 << 7 * size_length) - 1)
        unknown = size == (1 << 7 * size_length) - 1  # a live stream: up to the end
        content = start + id_length + size_length
        finish = end if unknown else min(content + size, end)
        yield int.from_bytes(head[:id_length]), content, finish
        start = finish
