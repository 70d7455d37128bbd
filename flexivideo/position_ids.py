"""Window-true MRoPE: a scene's temporal position is its start time, so long scenes leave long gaps.

Example, tokens_per_second 2, scenes that start at 0, 1 and 4.5 s, frames of 2 x 2 tokens, after
three tokens of text:

    axis      text    scene 0     scene 1     scene 2        text after ("all_axes")
    time      0 1 2   3 3 3 3     5 5 5 5     12 12 12 12    13 14 ...
    height    0 1 2   3 3 4 4     3 3 4 4      3  3  4  4    13 14 ...
    width     0 1 2   3 4 3 4     3 4 3 4      3  4  3  4    13 14 ...

Shapes: K scenes of a clip, h, w tokens of a frame after merging, L tokens of a sequence, B batch.
"""

from collections.abc import Iterator
from itertools import groupby

import torch
from torch import Tensor

__all__ = ["rope_index", "scene_positions"]

TEXT, IMAGE, VIDEO = 0, 1, 2

# Start times are sums of float64 fractions; without this a scene at 1.9999999 s would fall back.
EPSILON = 1e-4


def scene_positions(
    start_s: Tensor, *, height: int, width: int, tokens_per_second: float, offset: int
) -> Tensor:
    """Positions [3, K * h * w] (time, height, width), int64, of one clip's visual tokens.

    Args:
        start_s: start times of the scenes, float64 [K], seconds.
        height: tokens of a frame from top to bottom, h.
        width: tokens of a frame from left to right, w.
        tokens_per_second: temporal positions a second.
        offset: position at which the clip begins.
    """
    elapsed = start_s.double() - start_s[:1].double()
    time = torch.floor(tokens_per_second * elapsed + EPSILON).long()
    rows = torch.arange(height, device=start_s.device)
    columns = torch.arange(width, device=start_s.device)
    grid = torch.meshgrid(time, rows, columns, indexing="ij")
    return torch.stack(grid).reshape(3, -1) + offset


def rope_index(
    token_types: Tensor,
    attention_mask: Tensor | None,
    *,
    video_grid_thw: Tensor | None,
    scene_start_s: Tensor | None,
    image_grid_thw: Tensor | None = None,
    merge_size: int,
    tokens_per_second: float,
    text_position: str,
) -> tuple[Tensor, Tensor]:
    """Positions [3, B, L] of a batch, and per row the distance [B, 1] from length to next position.

    Args:
        token_types: [B, L], 0 text, 1 image, 2 video.
        attention_mask: [B, L], 0 where padded; None: nothing is.
        video_grid_thw: [n_videos, 3], scenes, rows and columns of patches, in order of appearance.
        scene_start_s: [n_videos, >= K] float64 start times, seconds, padded on the right.
        image_grid_thw: [n_images, 3].
        merge_size: patches a side to a token.
        tokens_per_second: temporal positions a second.
        text_position: "all_axes" or "spatial", see ``FlexiVideoConfig``.

    Raises:
        ValueError: if there are more visual runs in the text than grids, or no start times.
    """
    visuals = _visuals(video_grid_thw, scene_start_s, image_grid_thw)
    n_rows, length = token_types.shape
    positions = torch.zeros(3, n_rows, length, dtype=torch.long, device=token_types.device)
    deltas = []
    for row in range(n_rows):
        kept = (
            torch.ones(length, dtype=torch.bool, device=token_types.device)
            if attention_mask is None
            else attention_mask[row].bool()
        )
        spans, begin = [], 0
        for kind, run in groupby(token_types[row][kept].tolist()):
            if kind == TEXT:
                count = len(list(run))
                line = torch.arange(begin, begin + count, device=token_types.device)
                spans.append(line.expand(3, -1))
                begin += count
                continue
            grid, start_s = _next(visuals[kind], kind)
            height, width = (int(side) // merge_size for side in grid[1:])
            rate = tokens_per_second if kind == VIDEO else 0.0
            span = scene_positions(
                start_s[: int(grid[0])].to(token_types.device),
                height=height,
                width=width,
                tokens_per_second=rate,
                offset=begin,
            )
            spans.append(span)
            spatial = begin + max(height, width)
            begin = spatial if text_position == "spatial" else int(span.max()) + 1
        row_positions = torch.cat(spans, dim=1)
        positions[:, row, kept] = row_positions
        deltas.append(int(row_positions.max()) + 1 - int(kept.sum()))
    return positions, torch.tensor(deltas, device=token_types.device).unsqueeze(1)


def _visuals(
    video_grid_thw: Tensor | None, scene_start_s: Tensor | None, image_grid_thw: Tensor | None
) -> dict[int, Iterator[tuple[Tensor, Tensor]]]:
    if video_grid_thw is not None and scene_start_s is None:
        raise ValueError(
            "videos came without scene_start_s; expected a float64 tensor of each scene's start "
            "time in seconds, as FlexiVideoProcessor makes it"
        )
    images = [] if image_grid_thw is None else list(image_grid_thw)
    still = torch.zeros(1, dtype=torch.float64)
    return {
        IMAGE: iter([(grid, still) for grid in images]),
        VIDEO: iter(
            []
            if video_grid_thw is None or scene_start_s is None
            else list(zip(video_grid_thw, scene_start_s, strict=True))
        ),
    }


def _next(visuals: Iterator[tuple[Tensor, Tensor]], kind: int) -> tuple[Tensor, Tensor]:
    visual = next(visuals, None)
    if visual is None:
        name = "image" if kind == IMAGE else "video"
        raise ValueError(f"the text holds more runs of {name} tokens than {name}s were given")
    return visual
