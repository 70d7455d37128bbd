"""What a run leaves behind beside its weights: metrics, records left out, and its own record.

    run.json          settings, versions, counts, how it ended
    metrics.jsonl     a line a step
    left_out.jsonl    a line a record that could not be used, and why
    tensorboard/      the same metrics as curves

A run that goes on after a kill drops what was written of steps that it will do again.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from flexivideo.errors import SettingsError
from jobs.finetuning.settings import FinetuneSettings
from pipeline.runs import package_versions
from pipeline.training_records import LeftOut

__all__ = [
    "RunLog",
    "begin_record",
    "count_left_out",
    "end_record",
    "note_left_out",
    "read_metrics",
]

# Where it runs and how a store is reached, which change nothing that is learned.
MAY_CHANGE = ("run", "store")

RECORD, METRICS, LEFT_OUT, CURVES = "run.json", "metrics.jsonl", "left_out.jsonl", "tensorboard"


def begin_record(out: Path, settings: FinetuneSettings, *, data: Mapping[str, Any]) -> None:
    """Write what the run is, or see that it is the one that stands there.

    Args:
        out: folder of the run.
        settings: of the run; those under ``run`` and ``store`` may change from start to start.
        data: what else must be the same for a run to go on: counts and digests of its data.

    Raises:
        SettingsError: if another run stands there.
    """
    told = json.loads(json.dumps(asdict(settings), default=str))
    learned = {name: told[name] for name in told if name not in MAY_CHANGE} | dict(data)
    path = out / RECORD
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8"))
        there |= there.pop("settings")
        changed = [name for name in learned if there.get(name) != learned[name]]
        if changed:
            raise SettingsError(
                f"{out} holds a run with another {changed[0]}: {there.get(changed[0])}; received "
                f"{learned[changed[0]]}: give the same settings to go on, or another --out"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    _write(
        path,
        {
            "settings": told,
            "versions": package_versions(),
            "started_at": datetime.now(UTC).isoformat(),
            **data,
            "ended": None,
        },
    )


def note_left_out(out: Path, records: Iterable[LeftOut]) -> None:
    """Name records that were left out before the workers began, each once."""
    noted = {line["record_id"]: line for line in _lines(out / LEFT_OUT)}
    noted |= {record.record_id: asdict(record) for record in records}
    _replace(out / LEFT_OUT, noted.values())


def end_record(out: Path, ended: str) -> dict[str, Any]:
    """Complete the run's record; returns it."""
    record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    metrics = read_metrics(out)
    steps = [line for line in metrics if "n_clips" in line]
    record |= {
        "ended": ended,
        "ended_at": datetime.now(UTC).isoformat(),
        "n_steps_done": len(steps),
        "n_left_out": count_left_out(out),
        "n_clips": sum(line["n_clips"] for line in steps),
        "training_s": round(sum(line["step_s"] for line in steps), 1),
        "last": steps[-1] if steps else None,
        "last_evaluation": next((m for m in reversed(metrics) if "eval_loss" in m), None),
    }
    _write(out / RECORD, record)
    return record


def count_left_out(out: Path) -> int:
    """How many records the run has named as left out, each once."""
    return len(_lines(out / LEFT_OUT))


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``; a line torn by a kill is left away."""
    return _lines(out / METRICS)


class RunLog:
    """Written by one worker, step by step."""

    def __init__(self, out: Path, *, first_step: int) -> None:
        kept = [line for line in read_metrics(out) if line["step"] < first_step]
        _replace(out / METRICS, kept)
        self._left_out = {line["record_id"]: line for line in _lines(out / LEFT_OUT)}
        _replace(out / LEFT_OUT, self._left_out.values())
        self._out = out
        self._curves = SummaryWriter(str(out / CURVES), purge_step=first_step)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add what was measured of a step, 0 for the first."""
        _append(self._out / METRICS, {"step": step} | dict(metrics))
        for name, value in metrics.items():
            self._curves.add_scalar(name, value, step)
        self._curves.flush()

    def leave_out(self, records: Iterable[LeftOut]) -> None:
        """Name records that could not be used, each once."""
        for record in records:
            if record.record_id not in self._left_out:
                self._left_out[record.record_id] = asdict(record)
                _append(self._out / LEFT_OUT, asdict(record))

    def close(self) -> None:
        """End the curves' file."""
        self._curves.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last end is torn
    return [json.loads(line) for line in whole]


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _replace(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.replace(unfinished, path)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(unfinished, path)
