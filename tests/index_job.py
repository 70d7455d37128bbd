"""The main job as a process, and what it left behind; a small archive for it."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from pipeline.store import Store
from pipeline.views import connect

# As the console script does it: no folder where it is started can lend it modules.
FLEXIVIDEO = [sys.executable, "-P", "-c", "from jobs.cli import main; main()"]
KILLED = [sys.executable, str(Path(__file__).with_name("killed_index.py"))]


def index(archive, root, *options, command=FLEXIVIDEO, **run):
    arguments = [*command, "index"] if command is FLEXIVIDEO else command
    return subprocess.run(
        [*arguments, str(archive), "--out", str(root), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        **run,
    )


def dataset(root: str | Path | Store, *, but: tuple[str, ...] = ()):
    """What a reader gets, less what differs from run to run (and ``but``); embeddings apart."""
    connection = connect(str(root) if isinstance(root, Path) else root)
    own = ("commit_id", "scenes_commit_id", "committed_at", "run_id", *but)
    per_run = f"EXCLUDE ({', '.join(own)})"
    queries = {
        "videos": f"SELECT * {per_run} FROM videos ORDER BY video_id",
        "scenes": "SELECT * EXCLUDE (commit_id, ingest_date) FROM scenes ORDER BY scene_id",
        "clips": "SELECT * EXCLUDE (commit_id, ingest_date) FROM clips ORDER BY clip_id",
    }
    tables = {name: connection.execute(query).fetchall() for name, query in queries.items()}
    vectors = connection.execute("SELECT embedding FROM embeddings ORDER BY clip_id").fetchall()
    return tables, np.array(vectors)
