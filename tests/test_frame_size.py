import pytest

from flexivideo.frame_size import smart_resize

BUDGET = {"factor": 28, "min_pixels": 56 * 56, "max_pixels": 448 * 448}


def test_sides_are_multiples_within_the_budget_for_every_shape():
    for height in (1, 7, 28, 90, 144, 333, 720, 2160, 4320):
        for width in (1, 13, 28, 160, 352, 641, 1280, 3840, 7680):
            rows, columns = smart_resize(height, width, **BUDGET)
            assert rows % 28 == columns % 28 == 0
            assert 28 <= rows
            assert 28 <= columns
            ratio = max(height / width, width / height)
            if ratio < 20:
                assert BUDGET["min_pixels"] <= rows * columns <= BUDGET["max_pixels"]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((1080, 1920), (336, 588)), ((480, 640), (364, 504)), ((56, 56), (56, 56))],
)
def test_known_sizes(frame, expected):
    """As Qwen2-VL's image processor gives them."""
    assert smart_resize(*frame, **BUDGET) == expected


def test_a_frame_without_pixels_is_refused():
    with pytest.raises(ValueError, match="0 x 5"):
        smart_resize(5, 0, **BUDGET)
