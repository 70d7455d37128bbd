"""What a video costs that takes its decoder down at every try, until it is quarantined.

    python infra/benchmarks/poison.py FILE [--good 12 --poison 3 --rounds 3]

One decode worker, as a run has it, decodes copies of FILE: alone, and with poison between them that
makes its child crash, or hang until the deadline on progress, after the first clip. The cost of one
is the difference in wall time. The rule: less than 5 % of ten minutes of other work, 30 s.
"""

import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

import pyarrow as pa
from cyclopts import run

from flexivideo.visual_spec import VisualSpec
from pipeline.decode_plan import DecodePlan, Segmentation
from pipeline.decode_settings import DecodeSettings
from pipeline.decode_stage import DecodeStage
from pipeline.local_uri import to_uri
from pipeline.records import REF_SCHEMA
from pipeline.settings import PackingSettings, SegmentationSettings
from pipeline.sources import local_ref
from pipeline.supervisor import DecodeChild

OTHER_WORK_S = 600.0
CHILD = (sys.executable, str(Path(__file__).with_name("poisoned_child.py")))


def main(file: Path, *, good: int = 12, poison: int = 3, rounds: int = 3) -> None:
    """Measure.

    Args:
        file: a video that decodes well.
        good: copies of it.
        poison: poisoned copies among them.
        rounds: how often each way is run.
    """
    spec = VisualSpec.from_pretrained(None)
    plan = DecodePlan(
        segmentation=Segmentation.of(SegmentationSettings(), spec),
        packing=PackingSettings(),
        decode=DecodeSettings(),
        spec=spec,
    )
    kinds = ("crash", "hang")
    walls: dict[str, list[float]] = {kind: [] for kind in ("none", *kinds)}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for kind, found in walls.items():
                names = [f"good-{number}" for number in range(good)]
                for number in range(poison if kind != "none" else 0):
                    names.insert((number + 1) * good // poison + number, f"{kind}-{number}")
                found.append(decoded(plan, [copy(file, folder, name) for name in names]))
    for kind in kinds:
        pairs = zip(walls[kind], walls["none"], strict=True)
        cost_s = median((with_s - without_s) / poison for with_s, without_s in pairs)
        print(f"{kind}: {cost_s:.1f} s each, {cost_s / OTHER_WORK_S:.1%} of ten minutes")


def copy(file: Path, folder: str, name: str) -> Path:
    """The file under a name."""
    target = Path(folder, name + file.suffix)
    if not target.exists():
        shutil.copy(file, target)
    return target


def decoded(plan: DecodePlan, files: list[Path]) -> float:
    """Seconds that a worker takes for them all; each must end as its name says."""
    refs = [asdict(local_ref(to_uri(str(path)))) for path in files]
    stage = DecodeStage(plan, DecodeChild(plan, CHILD))
    begun_s, ended = time.monotonic(), 0
    for rows in stage(pa.Table.from_pylist(refs, schema=REF_SCHEMA)):
        for row in rows.filter(pa.compute.equal(rows["kind"], "video")).to_pylist():
            expected = "success" if "good" in row["uri"] else "quarantined"
            assert row["outcome"]["status"] == expected, row
            ended += 1
    spent_s = time.monotonic() - begun_s
    assert ended == len(files)
    stage.close()
    return spent_s


if __name__ == "__main__":
    run(main)
