"""A plan against the run that it was made for: every figure, and how far it was off.

    python infra/benchmarks/plan.py SOURCE... [--out ROOT]

Runs ``flexivideo index SOURCE... --plan-first`` and reads the run's row, where both stand. Prints
each planned figure with two standard errors, what it became, and the ratio; at the end how long the
plan took beside the run.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cyclopts import run

from pipeline.progress import SECONDS_PER_HOUR
from pipeline.views import connect

MEGA = 1e6


def main(*source: str, out: Path | None = None) -> None:
    """Plan, run, compare.

    Args:
        source: as of ``flexivideo index``.
        out: root of the dataset, which should be a new one; default: one that is removed.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = out or Path(folder)
        index = [sys.executable, "-m", "jobs.index", *source, "--out", str(root)]
        began_s = time.perf_counter()
        subprocess.run([*index, "--plan", "--json"], check=True, stdout=subprocess.DEVNULL)
        plan_s = time.perf_counter() - began_s
        subprocess.run([*index, "--plan-first", "--json"], check=True, stdout=subprocess.DEVNULL)
        rows = connect(str(root)).execute("SELECT plan, counts FROM runs ORDER BY run_id")
        plan, counts = map(json.loads, rows.fetchall()[-1])
        size_bytes = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    print("| figure | planned | ± 2 errors | the run | planned / run |\n|---|---|---|---|---|")
    for name, (planned, came) in figures(plan["forecast"], counts, size_bytes).items():
        value, error = planned["value"], 2 * planned["error"]
        ratio = f"{value / came:.2f}" if came else ""
        print(f"| {name} | {value:,.4g} | {error:,.2g} | {came:,.4g} | {ratio} |")
    forecast = plan["forecast"]
    print(
        f"\n{forecast['n_headers']} headers and {forecast['n_stretches']} stretches; the plan "
        f"alone took {plan_s:.0f} s with all imports, the run {counts['elapsed_s']:.0f} s"
    )


def figures(
    planned: dict[str, Any], counts: dict[str, Any], size_bytes: int
) -> dict[str, tuple[dict[str, float], float]]:
    """Name to what was planned and what it became."""
    model_s = counts["cpu_s" if planned["model_on"] == "CPU" else "busy_s"]["caption"]
    failing = [one["value"] for one in planned["will_fail"].values()]
    n_failed = counts["by_status"].get("failed", 0) + counts["by_status"].get("unavailable", 0)
    return {
        "videos": (_known(planned["n_videos"]), counts["n_ended"]),
        "of these failed": (_known(sum(failing)), n_failed),
        "hours of video": (planned["video_hours"], counts["video_hours"]),
        "scenes": (planned["n_scenes"], counts["n_scenes"]),
        "clips": (planned["n_clips"], counts["n_clips"]),
        "visual tokens": (planned["n_visual_tokens"], counts["n_visual_tokens"]),
        "decode, CPU seconds": (
            _times(planned["decode_cpu_hours"], SECONDS_PER_HOUR),
            counts["cpu_s"]["decode"],
        ),
        f"model, {planned['model_on']} seconds": (
            _times(planned["model_hours"], SECONDS_PER_HOUR),
            model_s,
        ),
        "output, MB": (_times(planned["output_bytes"], 1 / MEGA), size_bytes / MEGA),
    }


def _known(value: float) -> dict[str, float]:
    return {"value": value, "error": 0.0}


def _times(estimate: dict[str, float], factor: float) -> dict[str, float]:
    return {name: number * factor for name, number in estimate.items()}


if __name__ == "__main__":
    run(main)
