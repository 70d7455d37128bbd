"""``flexivideo demo``: the main job on an archive that it lays out itself."""

from pathlib import Path

from rich.console import Console

from jobs.demo_archive import lay_out_archive
from jobs.demo_score import score_captions
from jobs.display import choose_display
from jobs.listed_run import run_index
from jobs.show import show_dataset
from pipeline.settings import IndexSettings
from pipeline.store import open_store

__all__ = ["run_demo"]

MAX_SHOWN = 50


def run_demo(folder: Path, *, console: Console) -> int:
    """Lay out, index, show, score; returns the exit code."""
    archive = lay_out_archive(folder / "archive", console=console)
    root = str(folder / "index")
    report = run_index(
        [str(archive.folder)],
        out=root,
        settings=IndexSettings(),
        display=choose_display(as_json=False, console=console),
    )
    show_dataset(open_store(root), limit=MAX_SHOWN, console=console)
    console.print(score_captions(root, archive.truth).sentence())
    console.print(f"More: flexivideo show {root} bikes.mp4 --scenes", soft_wrap=True)
    return report.exit_code(strict=False)
