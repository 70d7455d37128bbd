"""A video that is known under another name: its stored rows, to be taken over.

The same bytes under the same settings give the same scenes, captions and vectors, so a renamed or
copied object need not be decoded and captioned again.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from flexivideo.errors import DatasetError
from pipeline.records import CLIP_TYPE, SCENE_TYPE, THUMBNAIL_TYPE, Twin
from pipeline.stored_rows import StoredRows

__all__ = ["twin_clips", "twin_video"]


def twin_video(stored: StoredRows, twin: Twin) -> dict[str, Any]:
    """The twin's row of ``videos``, as of a video that is there.

    Raises:
        DatasetError: if there is none.
    """
    rows = stored.of("videos", twin.video_id, twin.commit_id).to_pylist()
    if len(rows) != 1:
        raise DatasetError(
            f"video {twin.video_id} has {len(rows)} rows in commit {twin.commit_id}; expected one: "
            f"were parts of the dataset removed by hand?"
        )
    return {**rows[0], "source_deleted_at": None}


def twin_clips(stored: StoredRows, twin: Twin, video_id: str) -> Iterator[dict[str, Any]]:
    """The twin's clips in order, as the model stage would hand them over for a video.

    Args:
        stored: the dataset.
        twin: whose clips.
        video_id: of the video that they are taken over for.

    Yields:
        What ``pipeline.records.CAPTIONED_SCHEMA`` says of a clip, less what only travels.

    Raises:
        DatasetError: if it has no row, or not as many clips as that says.
    """
    known = twin_video(stored, twin)

    def rows(table: str, commit: str = twin.commit_id) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = stored.of(table, twin.video_id, commit).to_pylist()
        return found

    clips = sorted(rows("clips"), key=lambda clip: clip["clip_index"])
    scenes: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for scene in sorted(rows("scenes", known["scenes_commit_id"]), key=lambda s: s["scene_index"]):
        scenes[scene["clip_index"]].append({name: scene[name] for name in SCENE_TYPE.names})
    if (len(clips), sum(map(len, scenes.values()))) != (known["n_clips"], known["n_scenes"]):
        raise DatasetError(
            f"video {twin.video_id} has {len(clips)} clips in the tables; expected "
            f"{known['n_clips']}, of {known['n_scenes']} scenes: were parts removed by hand?"
        )
    vectors = {row["clip_id"]: row["embedding"] for row in rows("embeddings")}
    pictures = {row["clip_id"]: row for row in rows("thumbnails")}
    for clip in clips:
        picture = pictures.get(clip["clip_id"])
        yield clip | {
            "video_id": video_id,
            "clip": {name: clip[name] for name in CLIP_TYPE.names},
            "scenes": scenes[clip["clip_index"]],
            "embedding": vectors.get(clip["clip_id"]),
            "thumbnail": picture and {name: picture[name] for name in THUMBNAIL_TYPE.names},
        }
