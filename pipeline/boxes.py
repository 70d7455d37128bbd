"""The boxes of a file: how containers nest named pieces, and how long they say they are.

ISO base media (ISO/IEC 14496-12: mp4, mov, 3gp), EBML (RFC 8794: Matroska, WebM), RIFF (avi), ASF
(wmv) and FLV. The walks are bounded and never raise, in a file of any content: a size that lies
only ends them.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["declared_bytes", "ebml_elements", "is_ebml", "is_iso", "iso_boxes"]

ISO_TOP_LEVEL = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx", b"moof"}
EBML, SEGMENT = 0x1A45DFA3, 0x18538067

# GUIDs of ASF's header and of the object in it that holds the file's size; in that object's
# content, where the size and the flags stand, and the flag that says that the size is not known.
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_SIZE, ASF_FLAGS, ASF_BROADCAST = slice(16, 24), slice(64, 68), 1
ASF_FIRST_OBJECT = 30

# Sizes that RIFF writers leave where they cannot go back to write the true one.
RIFF_UNKNOWN = {0, 0x7FFFFFFF, 0xFFFFFFFF}

# FLV's first tag is metadata: a name behind its length, a type byte (0: a number), a double.
FLV_FILE_SIZE, FLV_NUMBER = b"\x00\x08filesize", 0
FLV_METADATA_BYTES = 1 << 16

MAX_BOXES = 100_000


def is_iso(file: BinaryIO) -> bool:
    """Whether a seekable file begins as ISO base media does."""
    file.seek(0)
    return file.read(8)[4:] in ISO_TOP_LEVEL


def is_ebml(file: BinaryIO) -> bool:
    """Whether a seekable file begins as Matroska does."""
    file.seek(0)
    return int.from_bytes(file.read(4)) == EBML


def declared_bytes(file: BinaryIO) -> int | None:
    """How long the file says it is, by its outermost boxes; None where it does not say."""
    size_bytes = file.seek(0, 2)
    if is_iso(file):
        ends = [end for kind, _, end in iso_boxes(file, 0, size_bytes) if kind in ISO_TOP_LEVEL]
    elif is_ebml(file):
        ends = [end for kind, _, end in ebml_elements(file, 0, size_bytes) if kind == SEGMENT]
    elif _begins_with(file, b"RIFF"):
        ends = list(_riff_ends(file, size_bytes))
    elif _begins_with(file, b"FLV"):
        ends = list(_flv_declared(file))
    elif _begins_with(file, ASF_HEADER):
        ends = list(_asf_declared(file, size_bytes))
    else:
        return None
    return max(ends, default=None)


def iso_boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """ISO boxes between two offsets: name, begin and end of the content, as declared."""
    end = min(end, file.seek(0, 2))
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
        yield kind, content, start + size
        start += size


def ebml_elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """EBML elements between two offsets: id, begin and end of the content, as declared."""
    end = min(end, file.seek(0, 2))
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
        finish = end if unknown else content + size
        yield int.from_bytes(head[:id_length]), content, finish
        start = finish


def _riff_ends(file: BinaryIO, end: int) -> Iterator[int]:
    """Where the outermost RIFF chunks end, as declared."""
    start = 0
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        header = file.read(8)
        if not header.startswith(b"RIFF"):  # what stands behind the last one is not ours to judge
            return
        size = int.from_bytes(header[4:], "little")
        if size in RIFF_UNKNOWN:
            return
        yield start + 8 + size
        start += 8 + size + size % 2


def _asf_declared(file: BinaryIO, end: int) -> Iterator[int]:
    """The size in ASF's file properties, where it is known."""
    start = ASF_FIRST_OBJECT
    for _ in range(MAX_BOXES):
        if start + 24 > end:
            return
        file.seek(start)
        header = file.read(24)
        size = int.from_bytes(header[16:], "little")
        if header[:16] == ASF_FILE_PROPERTIES:
            content = file.read(ASF_FLAGS.stop)
            if not int.from_bytes(content[ASF_FLAGS], "little") & ASF_BROADCAST:
                yield int.from_bytes(content[ASF_SIZE], "little")
            return
        if size < 24:
            return
        start += size


def _begins_with(file: BinaryIO, magic: bytes) -> bool:
    file.seek(0)
    return file.read(len(magic)) == magic


def _flv_declared(file: BinaryIO) -> Iterator[int]:
    """The file's size in FLV's metadata, where a recorder has written it."""
    file.seek(0)
    content = file.read(FLV_METADATA_BYTES)
    _, found, value = content.partition(FLV_FILE_SIZE)
    if found and len(value) >= 9 and value[0] == FLV_NUMBER:
        (size,) = struct.unpack(">d", value[1:9])
        if 0 < size < 2**63:
            yield int(size)
