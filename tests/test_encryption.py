import io
import struct

import numpy as np
import pytest
from synthetic_media import textured_shots, write_video

from pipeline.encryption import decodes_to_noise, is_encrypted


def box(kind, content):
    return struct.pack(">I", 8 + len(content)) + kind + content


def iso_file(entry):
    description = box(b"stsd", bytes(4) + struct.pack(">I", 1) + box(entry, bytes(78)))
    content = description
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        content = box(kind, content)
    return io.BytesIO(box(b"ftyp", b"isom") + content)


def element(number, content):
    """An EBML element with an eight-byte size."""
    head = number.to_bytes((number.bit_length() + 7) // 8)
    return head + (len(content) | 1 << 56).to_bytes(8) + content


def matroska_file(track_type, *, encrypted):
    encryption = element(0x6D80, element(0x6240, element(0x5035, b"")))
    track = element(0x83, bytes([track_type])) + (encryption if encrypted else b"")
    tracks = element(0x18538067, element(0x1654AE6B, element(0xAE, track)))
    return io.BytesIO(element(0x1A45DFA3, b"") + tracks)


def test_common_encryption_is_recognised_and_clear_entries_are_not():
    assert is_encrypted(iso_file(b"encv"))
    assert not is_encrypted(iso_file(b"avc1"))
    assert not is_encrypted(iso_file(b"enca"))  # the sound's, with pictures in the clear


def test_matroska_encryption_counts_for_video_tracks_alone():
    assert is_encrypted(matroska_file(1, encrypted=True))
    assert not is_encrypted(matroska_file(2, encrypted=True))
    assert not is_encrypted(matroska_file(1, encrypted=False))


def transport_stream(scrambled_pid, *, lead=0):
    """Three packets of pictures (pid 256) for each one of sound (257)."""
    packets = []
    for number in range(400):
        pid = 257 if number % 4 == 3 else 256
        control = (0b10 if pid == scrambled_pid else 0) << 6 | 0x10
        head = bytes([0x47]) + pid.to_bytes(2) + bytes([control])
        packets.append(bytes(lead) + head + bytes(184))
    return io.BytesIO(b"".join(packets))


@pytest.mark.parametrize("lead", [0, 4])
def test_scrambled_pictures_of_a_transport_stream_are_recognised(lead):
    assert is_encrypted(transport_stream(256, lead=lead))
    assert not is_encrypted(transport_stream(257, lead=lead))  # the sound alone
    assert not is_encrypted(transport_stream(None, lead=lead))


def test_what_older_shops_sold_is_recognised():
    assert is_encrypted(iso_file(b"drmi"))


@pytest.mark.parametrize(
    ("n_corrupt", "contrast", "is_noise"),
    [(850, 21.6, True), (850, 62.0, False), (430, 21.6, False), (0, 0.0, False)],
)
def test_only_damaged_grey_is_taken_for_ciphertext(n_corrupt, contrast, is_noise):
    """A black film and a badly damaged one are neither."""
    assert decodes_to_noise(n_frames=864, n_corrupt=n_corrupt, contrast=contrast) == is_noise


def test_real_files_in_the_clear_are_not_encrypted(tmp_path, rng):
    for name in ("a.mp4", "a.mkv", "a.ts", "a.avi"):
        path = write_video(tmp_path / name, textured_shots(rng, 1, 5))
        with open(path, "rb") as file:
            assert not is_encrypted(file)


def test_any_bytes_end_the_walk():
    """Sizes that lie must not loop or raise."""
    rng = np.random.default_rng(1)
    for head in (b"\0\0\0\x18ftyp", b"\x1a\x45\xdf\xa3", b"\0\0\0\1moov"):
        for _ in range(200):
            is_encrypted(io.BytesIO(head + rng.bytes(300)))
