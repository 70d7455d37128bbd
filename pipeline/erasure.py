"""A video erased from a dataset for good: its rows in every table, in every commit.

What is to be erased is first written down (as digests, not as the name that has to go), so that
whoever holds the root after a crash finishes it: the video's own rows go first, which hides all of
it from readers at once, then what stands in the other tables.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flexivideo.errors import DatasetError, LeaseLost
from pipeline.identity import commit_sequence, digest
from pipeline.kept_captions import KeptPart, folder_of_uri
from pipeline.part_rewriting import rewrite_part
from pipeline.store import Store
from pipeline.tables import part_sequence, settings_part
from pipeline.views import COMMIT_COLUMNS, connect

__all__ = ["commits_of", "erase", "finish_erasures", "names_of_the_same_bytes"]

JOURNAL = "erasures"


def erase(store: Store, uri: str, *, check: Callable[[], None]) -> int:
    """Erase all versions of a video; returns how many there were.

    Args:
        store: the root, which is held.
        uri: as it stands in the tables.
        check: called before each change; raises if the root is held no longer.

    Raises:
        DatasetError: if no such video is in the dataset.
        LeaseLost: if somebody else writes to it.
    """
    noted = commits_of(store, uri) | {"folder": folder_of_uri(uri)}
    path = f"{JOURNAL}/{digest('erasure', uri)}.json"
    check()
    if not store.compare_and_swap(path, store.read(path), json.dumps(noted).encode()):
        raise LeaseLost(f"{store.uri(path)} was written by somebody else; nothing is erased yet")
    finish_erasures(store, check=check)
    return len(noted["video_ids"])


def commits_of(store: Store, uri: str) -> dict[str, list[Any]]:
    """Ids of a video's versions, numbers of the commits that hold any, ids of its own prompts.

    Raises:
        DatasetError: if no such video is in the dataset.
    """
    under_way = [part for path in store.list(folder_of_uri(uri)) if (part := KeptPart.of(path))]
    try:
        found = connect(store).execute(
            """SELECT video_id, CASE WHEN prompt IS NOT NULL THEN prompt_id END, commit_id,
                      scenes_commit_id FROM all_videos WHERE uri = $uri""",
            {"uri": uri},
        )
        rows = found.fetchall()
    except DatasetError:  # no video is whole yet
        if not under_way:
            raise
        rows = []
    if not rows and not under_way:
        raise DatasetError(
            f"{uri!r} is not in {store.root!r}; expected a uri as its videos table has it"
        )
    video_ids = {video for video, *_ in rows} | {part.video_id for part in under_way}
    sequences = {commit_sequence(commit) for _, _, *commits in rows for commit in commits}
    prompt_ids = {prompt_id for _, prompt_id, *_ in rows if prompt_id is not None}
    return {
        "video_ids": sorted(video_ids),
        "sequences": sorted(sequences),
        "prompt_ids": sorted(prompt_ids),
    }


def names_of_the_same_bytes(store: Store, uri: str) -> list[str]:
    """Other uris of the dataset under which any version of the video stands too, sorted."""
    try:
        found = connect(store).execute(
            """SELECT DISTINCT uri FROM all_videos WHERE uri <> $uri AND content_digest IN (
                   SELECT content_digest FROM all_videos WHERE uri = $uri) ORDER BY uri""",
            {"uri": uri},
        )
    except DatasetError:  # no video is whole yet
        return []
    return [name for (name,) in found.fetchall()]


def finish_erasures(store: Store, *, check: Callable[[], None]) -> None:
    """Erase what was written down and is not erased yet."""
    for path in list(store.list(JOURNAL)):
        if (content := store.read(path)) is None:
            continue
        noted = json.loads(content)
        for kept in list(store.list(noted["folder"])):
            check()
            store.delete(kept)
        videos = pa.array(noted["video_ids"], pa.string())
        for part in _parts(store, set(noted["sequences"])):
            # A part that becomes empty stays: it keeps its commit's number from being used again,
            # and a reader that has listed it finds it.
            rewrite_part(store, part, partial(_without, videos), check=check)
        for prompt_id in _unused(store, noted["prompt_ids"]):
            check()
            store.delete(settings_part(prompt_id))
        check()
        store.delete(path)


def _unused(store: Store, prompt_ids: Sequence[str]) -> list[str]:
    """Those that no video is asked any more: what a prompt says may be of a person too."""
    try:
        still = connect(store).execute(
            "SELECT DISTINCT prompt_id FROM all_videos WHERE prompt_id IN (SELECT unnest($ids))",
            {"ids": list(prompt_ids)},
        )
        used = {prompt_id for (prompt_id,) in still.fetchall()}
    except DatasetError:  # no video is left at all
        used = set()
    return [prompt_id for prompt_id in prompt_ids if prompt_id not in used]


def _parts(store: Store, sequences: set[int]) -> Iterator[str]:
    for table in ("videos", *COMMIT_COLUMNS):
        for part in list(store.list(table)):
            if part_sequence(part) in sequences:
                yield part


def _without(videos: pa.Array, rows: pa.Table) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows["video_id"], videos)))
