import pytest
import torch

from flexivideo.position_ids import rope_index, scene_positions

TEXT, VIDEO = 0, 2


def index(types, mask=None, *, grids, starts, text_position="all_axes"):
    return rope_index(
        torch.tensor(types),
        None if mask is None else torch.tensor(mask),
        video_grid_thw=torch.tensor(grids),
        scene_start_s=torch.tensor(starts, dtype=torch.float64),
        merge_size=2,
        tokens_per_second=2,
        text_position=text_position,
    )


def test_the_worked_example_of_the_module():
    types = [[TEXT] * 3 + [VIDEO] * 12 + [TEXT] * 2]
    positions, deltas = index(types, grids=[[3, 4, 4]], starts=[[0.0, 1.0, 4.5]])
    time, height, width = positions[:, 0].tolist()
    assert time == [0, 1, 2, *[3] * 4, *[5] * 4, *[12] * 4, 13, 14]
    assert height == [0, 1, 2, *[3, 3, 4, 4] * 3, 13, 14]
    assert width == [0, 1, 2, *[3, 4, 3, 4] * 3, 13, 14]
    assert deltas.tolist() == [[15 - 17]]


def test_text_may_follow_the_spatial_maximum_instead():
    types = [[TEXT] * 3 + [VIDEO] * 12 + [TEXT] * 2]
    positions, _ = index(
        types, grids=[[3, 4, 4]], starts=[[0.0, 1.0, 4.5]], text_position="spatial"
    )
    assert positions[:, 0, -2:].tolist() == [[5, 6]] * 3


def test_a_longer_window_leaves_a_longer_interval():
    starts = torch.tensor([0.0, 0.5, 4.5, 36.5], dtype=torch.float64)
    time = scene_positions(starts, height=1, width=1, tokens_per_second=2, offset=0)[0]
    assert time.diff().tolist() == [1, 8, 64]


def test_only_time_since_the_first_scene_counts():
    starts = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    near = scene_positions(starts, height=1, width=1, tokens_per_second=2, offset=5)
    far = scene_positions(starts + 35_999.5, height=1, width=1, tokens_per_second=2, offset=5)
    assert torch.equal(near, far)


def test_times_are_counted_in_float64():
    """After a day, float32 knows a hundredth of a second only, and a start just before a position
    would be taken for one just after.
    """
    starts = torch.tensor([0.0, 0.498, 0.998, 1.5], dtype=torch.float64)
    near, far = (
        scene_positions(starts + since_s, height=1, width=1, tokens_per_second=2, offset=0)[0]
        for since_s in (0.0, 86_400.0)
    )
    assert near.tolist() == far.tolist() == [0, 0, 1, 3]


def test_a_start_that_float_sums_left_just_below_a_position_is_not_lost():
    starts = torch.tensor([0.0, 1.0 - 1e-9], dtype=torch.float64)
    time = scene_positions(starts, height=1, width=1, tokens_per_second=2, offset=0)[0]
    assert time.tolist() == [0, 2]


def test_padding_changes_no_position():
    row = [TEXT] * 2 + [VIDEO] * 4 + [TEXT]
    alone, delta = index([row], grids=[[1, 4, 4]], starts=[[7.0]])
    padded, padded_delta = index(
        [[TEXT] * 3 + row], [[0] * 3 + [1] * 7], grids=[[1, 4, 4]], starts=[[7.0]]
    )
    assert torch.equal(padded[:, :, 3:], alone)
    assert torch.equal(delta, padded_delta)


def test_more_runs_of_video_tokens_than_videos_are_refused():
    with pytest.raises(ValueError, match="more runs of video tokens"):
        index([[VIDEO] * 4 + [TEXT] + [VIDEO] * 4], grids=[[1, 4, 4]], starts=[[0.0]])
