import io
import struct

import numpy as np
import pytest
from synthetic_media import textured_shots, write_video

from pipeline.boxes import declared_bytes, ebml_elements, iso_boxes


def box(kind, n_bytes):
    return struct.pack(">I", 8 + n_bytes) + kind + bytes(n_bytes)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
def test_a_whole_file_is_as_long_as_it_says(tmp_path, rng, name):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write_video(tmp_path / name, textured_shots(rng, 1, 5), codec=codec)
    content = path.read_bytes()
    assert declared_bytes(io.BytesIO(content)) == len(content)
    assert declared_bytes(io.BytesIO(content[:-100])) == len(content)


def test_what_a_phone_hangs_behind_its_film_is_no_box():
    film = box(b"ftyp", 8) + box(b"mdat", 100)
    assert declared_bytes(io.BytesIO(film + struct.pack(">I", 5000) + b"SEFH" + bytes(20))) == 124


def test_other_files_say_nothing_of_their_length():
    assert declared_bytes(io.BytesIO(b"OggS" + bytes(100))) is None
    assert declared_bytes(io.BytesIO(b"")) is None


def test_any_bytes_end_the_walks():
    """Sizes that lie must not loop or raise."""
    rng = np.random.default_rng(1)
    huge = b"\0\0\0\1mdat" + b"\xff" * 8
    for head in (huge, b"\0\0\0\x18ftyp", b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67\x01"):
        for _ in range(100):
            content = io.BytesIO(head + rng.bytes(300))
            declared_bytes(content)
            list(iso_boxes(content, 0, 1 << 70))
            list(ebml_elements(content, 0, 1 << 70))
