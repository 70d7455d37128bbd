import os

import pytest

from pipeline.local_uri import to_path, to_uri


@pytest.mark.parametrize(
    "name",
    [
        b"plain.mp4",
        b"-dash.mp4",
        b"two\nlines.mp4",
        "blåbær.mp4".encode(),
        b"latin1-\xe5.mp4",
        b"percent%20.mp4",
        b"question?hash#.mp4",
    ],
)
def test_every_name_survives_the_way_to_a_uri_and_back(tmp_path, name):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name))
    uri = to_uri(path)
    uri.encode("utf-8")  # what an Arrow string asks for
    assert os.fsencode(to_path(uri)) == os.fsencode(path)


def test_a_plain_path_is_its_own_uri(tmp_path):
    assert to_uri(str(tmp_path / "a.mp4")) == str(tmp_path / "a.mp4")
