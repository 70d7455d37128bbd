"""Decoded clip rows as the model takes them: the way back of ``pipeline.clip_rows``."""

import numpy as np
import pyarrow as pa

from flexivideo.scene_patches import ClipInput, SceneInput

__all__ = ["clip_inputs"]

CHANNELS = 3


def clip_inputs(rows: pa.Table) -> list[ClipInput]:
    """The clips of rows of kind "clip"; frames are views into the table's buffers, not copies."""
    return [ClipInput(scenes=tuple(_scenes(rows, row))) for row in range(rows.num_rows)]


def _scenes(rows: pa.Table, row: int) -> list[SceneInput]:
    height, width = rows["frame_height"][row].as_py(), rows["frame_width"][row].as_py()
    pixels = memoryview(rows["pixels"][row].as_buffer())
    scenes, offset = [], 0
    pairs = zip(rows["scenes"][row].as_py(), rows["runs"][row].as_py(), strict=True)
    for scene, run in pairs:
        dtype = np.dtype(run["dtype"])
        shape = (run["n_stored"], height, width, CHANNELS)
        n_values = int(np.prod(shape))
        frames = np.frombuffer(pixels, dtype=dtype, count=n_values, offset=offset).reshape(shape)
        offset += n_values * dtype.itemsize
        scenes.append(
            SceneInput(
                frames=frames,
                n_frames=scene["n_frames"],
                start_s=scene["start_s"],
                end_s=scene["end_s"],
            )
        )
    return scenes
