"""Which of a dataset's videos are still there: a whole listing against what was indexed.

A video is an object in one version. So it is gone when its object is, and also when the object has
changed: the new version is another video. Its rows stay; ``source_deleted_at`` says since when.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from flexivideo.errors import DatasetError
from pipeline.identity import commit_sequence, video_id
from pipeline.index_session import IndexSession
from pipeline.local_uri import prefixes, to_uri
from pipeline.part_rewriting import rewrite_part
from pipeline.records import VideoRef
from pipeline.resume import MEMORY_MIB
from pipeline.schemas import TIMESTAMP
from pipeline.store import Store
from pipeline.tables import part_name
from pipeline.video_extensions import VIDEO_EXTENSIONS
from pipeline.views import connect

__all__ = ["Presence", "SeenVideos", "note_presence"]

CHUNK_IDS = 50_000

# A video's id, and the commit that its row stands in.
Found = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Presence:
    """What became of a dataset's videos under some folders.

    Attributes:
        gone: those that are not there any more, and were not known to be gone.
        returned: known to be gone, and there again.
        by_folder: of each folder, how many were not known to be gone, and how many of these are.
    """

    gone: Sequence[Found] = ()
    returned: Sequence[Found] = ()
    by_folder: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class SeenVideos:
    """Remembers which videos a listing has shown; a million of them take some 40 MB."""

    def __init__(self) -> None:
        self._chunks: list[pa.Array] = []
        self._new: list[str] = []

    def of(self, refs: Iterable[VideoRef]) -> Iterator[VideoRef]:
        """The references as they come, remembered."""
        for ref in refs:
            # A range of an object is there as long as the object is.
            whole = ref if ref.time_range is None else ref.within(None)
            self._new.append(whole.video_id)
            if len(self._new) == CHUNK_IDS:
                self._close_chunk()
            yield ref

    def presence(self, store: Store, folders: Sequence[str], links: Sequence[str] = ()) -> Presence:
        """Compare with what the dataset holds under some folders.

        Args:
            store: the dataset's.
            folders: URIs, each ending in a slash, of which all videos were listed.
            links: paths of links in them that lead to other folders, which were not.
        """
        self._close_chunk()
        try:
            connection = connect(store, memory_mib=MEMORY_MIB)
        except DatasetError:  # nothing has been written yet
            return Presence()
        ids = pa.chunked_array(self._chunks, pa.string())
        connection.register("seen", pa.table({"video_id": ids}))
        connection.register("areas", _with_prefixes(folders))
        connection.create_function("object_id", _object_id, ["VARCHAR", "VARCHAR"], "VARCHAR")
        connection.register("links", _with_prefixes([f"{to_uri(link)}/" for link in links]))
        # What folders give is known by its extension; what was named once need not have one.
        connection.execute(
            r"""CREATE TEMP TABLE known AS
                SELECT areas.name AS folder, video_id, commit_id,
                       source_deleted_at IS NOT NULL AS is_gone,
                       CASE WHEN range_start_s IS NULL THEN video_id
                            ELSE object_id(uri, version) END
                       IN (SELECT video_id FROM seen) AS is_seen
                FROM videos JOIN areas ON starts_with(uri, areas.prefix)
                WHERE NOT EXISTS (FROM links WHERE starts_with(uri, links.prefix)
                                  AND starts_with(links.name, areas.name)
                                  AND links.name <> areas.name)
                AND lower(regexp_extract(uri, '\.([^./]*)$', 1)) IN (SELECT unnest($extensions))""",
            {"extensions": sorted(VIDEO_EXTENSIONS)},
        )
        rows = connection.execute(
            "SELECT DISTINCT is_gone, video_id, commit_id FROM known WHERE is_gone = is_seen"
        ).fetchall()
        counts = connection.execute(
            """SELECT folder, count(*) FILTER (NOT is_gone),
                      count(*) FILTER (NOT is_gone AND NOT is_seen) FROM known GROUP BY folder"""
        ).fetchall()
        return Presence(
            gone=[(video, commit) for was_gone, video, commit in rows if not was_gone],
            returned=[(video, commit) for was_gone, video, commit in rows if was_gone],
            by_folder={folder: (n_present, n_gone) for folder, n_present, n_gone in counts},
        )

    def _close_chunk(self) -> None:
        self._chunks.append(pa.array(self._new, pa.string()))
        self._new = []


def _object_id(uri: str, version: str) -> str:
    """Of all of a video that only a range was asked for of."""
    return video_id(uri, version)


def _with_prefixes(folders: Iterable[str]) -> pa.Table:
    """Folders, and what the URIs in them begin with."""
    rows = [{"name": folder, "prefix": prefix} for folder in folders for prefix in prefixes(folder)]
    return pa.Table.from_pylist(
        rows, schema=pa.schema([("name", pa.string()), ("prefix", pa.string())])
    )


def note_presence(session: IndexSession, presence: Presence) -> None:
    """Write into the videos' rows that they are gone, or there again.

    Raises:
        LeaseLost: if another run took the root meanwhile.
    """
    _set_deleted_at(session, presence.gone, session.clock())
    _set_deleted_at(session, presence.returned, None)


def _set_deleted_at(
    session: IndexSession, videos: Sequence[Found], deleted_at: datetime | None
) -> None:
    by_sequence: dict[int, list[str]] = defaultdict(list)
    for video, commit_id in videos:
        by_sequence[commit_sequence(commit_id)].append(video)
    for sequence, ids in sorted(by_sequence.items()):

        def noted(rows: pa.Table, ids: list[str] = ids) -> pa.Table:
            is_meant = pc.is_in(rows["video_id"], pa.array(ids, pa.string()))
            place = rows.schema.get_field_index("source_deleted_at")
            times = pc.if_else(
                is_meant, pa.scalar(deleted_at, TIMESTAMP), rows["source_deleted_at"]
            )
            return rows.set_column(place, rows.schema.field(place), times)

        part = f"videos/{part_name(sequence)}"
        rewrite_part(session.store, part, noted, check=session.check)
