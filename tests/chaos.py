"""Everything that can break, broken at counted moments, until the dataset stands all the same.

    python tests/chaos.py [--n-faults 100] [--seed 1] [--replay SCHEDULE]

A real Ray cluster of three nodes on this machine indexes a bucket of a real S3 server into another
one. Between them stands a proxy that breaks three replies in ten, and that counts the requests: at
the numbers of the schedule, drawn from the seed, a driver, a worker, a decode child, a model actor
or a whole node is killed, a driver is put to sleep until another has taken its root, or a second
one is started beside it. Meanwhile somebody reads. After each campaign over one root the dataset
must be the undisturbed one, row for row; a failure prints its schedule, and --replay runs it again.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from cyclopts import run
from index_job import FLEXIVIDEO, dataset
from s3_server import FaultyProxy, client, seaweed
from synthetic_media import textured_shots, write_video

from flexivideo.errors import DatasetError
from pipeline.part_reading import footer
from pipeline.store import Store, open_store
from pipeline.store_settings import StoreSettings
from pipeline.views import connect

N_VIDEOS = 6
LEASE_S = 4

# One reply in twenty each.
REPLIES = ("slow down", "reset", "cut", "stall", "lost reply", "lie")
REPLY_SHARE = 0.05

# Stalls for which a client gives up are in the tests of the store: they would take minutes here.
STALL_S = 1.0

KILLED = {"worker": "DecodeStage", "child": "pipeline.decode_child", "model": "CaptionStage"}
FAULTS = (*KILLED, "driver", "node", "sleep", "rival")

# Requests from one fault to the next.
GAP = (8, 40)

# Of one campaign, so that it comes to its end and is looked at.
MOST_FAULTS = 12

# A campaign that has not ended after so many drivers has lost something.
MOST_DRIVERS = 60

PROCESS_TYPE_RAYLET = "raylet"
DRIVER_S = 120
TICK_S = 0.1

Schedule = list[tuple[int, str]]


def drawn(seed: int, n_faults: int) -> Schedule:
    """At which request which fault, every kind as often as any other."""
    rng = random.Random(seed)
    kinds = [FAULTS[index % len(FAULTS)] for index in range(n_faults)]
    rng.shuffle(kinds)
    moments, now = [], 0
    for kind in kinds:
        now += rng.randint(*GAP)
        moments.append((now, kind))
    return moments


def reply_fault(seed: int, request: int) -> str | None:
    """What becomes of the n-th request's reply."""
    rng = random.Random(f"{seed}-{request}")
    index = int(rng.random() / REPLY_SHARE)
    if index >= len(REPLIES):
        return None
    return f"lie {rng.randrange(2**30)}" if REPLIES[index] == "lie" else REPLIES[index]


@dataclass
class Chaos:
    """One schedule, campaign after campaign, until all its faults have happened."""

    seed: int
    schedule: Schedule
    happened: list[tuple[int, str]] = field(default_factory=list)

    def run(self) -> None:
        """Break it all.

        Raises:
            AssertionError: if anything was lost, doubled or torn; it names the schedule.
        """
        with ExitStack() as held:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
            self._endpoint = held.enter_context(seaweed(folder))
            self._proxy = FaultyProxy(self._endpoint)
            self._proxy.stall_s = STALL_S
            held.callback(self._proxy.close)
            self._start_cluster(held)
            self._lay_out(folder)
            self._drivers: list[Driver] = []
            self._asleep: list[Driver] = []
            self._due: list[str] = []
            self._left, self._requests, number = list(self.schedule), 0, 0
            expected, _ = self._campaign("undisturbed", faults=False)
            try:
                while self._left or self._due:
                    number += 1
                    found, n_drivers = self._campaign(f"campaign-{number}", faults=True)
                    assert found[0] == expected[0], "rows differ from those of an undisturbed run"
                    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
                    print(
                        f"campaign {number}: {len(self.happened)} of {len(self.schedule)} faults "
                        f"so far, {n_drivers} drivers, {self._requests} requests",
                        flush=True,
                    )
            except BaseException as error:
                schedule = json.dumps(self.schedule)
                raise AssertionError(
                    f"{error}\nhappened: {self.happened}\n"
                    f"run again: python tests/chaos.py --seed {self.seed} --replay '{schedule}'"
                ) from error

    def _start_cluster(self, held: ExitStack) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        held.callback(self._cluster.shutdown)
        for _ in range(2):
            self._cluster.add_node(num_cpus=1)
        self._cluster.wait_for_nodes()

    def _lay_out(self, folder: Path) -> None:
        store = client(self._endpoint)
        store.makedirs("uploads")
        for number in range(N_VIDEOS):
            frames = textured_shots(np.random.default_rng(number), 2 + number % 3, 40)
            path = write_video(folder / f"{number}.mp4", frames)
            store.pipe_file(f"uploads/{number}.mp4", path.read_bytes())

    def _campaign(self, name: str, *, faults: bool) -> tuple[tuple, int]:
        """Index into a root of that name; what a reader gets, and the drivers it took."""
        client(self._endpoint).makedirs(name)
        self._root = f"s3://{name}/index"
        store = open_store(self._root, StoreSettings(endpoint_url=self._endpoint))
        self._store = store
        self._proxy.begin(self._on_request if faults else lambda n: None, of=lambda request: True)
        self._happened_before = len(self.happened)
        torn: list[str] = []
        said, n_drivers, is_done = "", 0, False
        ended = threading.Event()
        reader = threading.Thread(target=self._read, args=(store, ended, torn))
        reader.start()
        try:
            while not is_done:
                n_drivers += 1
                assert n_drivers < MOST_DRIVERS, f"no driver ended it; the last said {said}"
                code, said = self._drive()
                is_done = code == 0 and not _unfinished(store)
        finally:
            self._proxy.begin(lambda n: None)
            ended.set()
            reader.join()
            for driver in self._drivers:
                driver.process.send_signal(signal.SIGCONT)
                assert driver.has_ended(DRIVER_S), f"a driver hangs: {driver.process.args}"
                code = driver.process.returncode
                assert code in (0, 1, -signal.SIGKILL), f"a driver ended with {code}: {driver.said}"
                # What it met is one sentence of ours; Ray may have said more before.
                last = (driver.said.splitlines() or [""])[-1]
                assert code != 1 or last.startswith("flexivideo: "), driver.said
            self._drivers, self._asleep = [], []
        assert not torn, torn[0]
        found = dataset(store, but=("n_tries",))
        for table in ("scenes", "clips"):
            n_stored = sum(footer(store, path).num_rows for path in store.list(table))
            assert n_stored == len(found[0][table]), f"{table} holds rows of no commit"
        return found, n_drivers

    def _start_driver(self) -> "Driver":
        # However often a video's child is the victim, it is not the video's fault.
        options = ["--tries", str(MOST_FAULTS + 1)]
        options += ["--lease-s", str(LEASE_S), "--every-rows", "1", "--json"]
        options += ["--endpoint-url", self._proxy.address]
        driver = Driver(
            [*FLEXIVIDEO, "index", "s3://uploads", "--out", self._root, *options],
            env=os.environ | {"RAY_ADDRESS": self._cluster.address},
        )
        self._drivers.append(driver)
        return driver

    def _drive(self) -> tuple[int, str]:
        """Start a driver, break what is due, and wait until it ends or is put to sleep."""
        driver = self._start_driver()
        while not driver.has_ended(TICK_S) and driver not in self._asleep:
            self._break_one()
            self._wake_those_who_were_overtaken()
        if driver in self._asleep:
            threading.Event().wait(LEASE_S)  # nobody can take its root before
            return 1, "asleep"
        return driver.process.returncode, driver.said

    def _on_request(self, _: int) -> str | None:
        """Called by the proxy for every request, in its loop."""
        self._requests += 1
        while self._left and self._left[0][0] <= self._requests:
            self._due.append(self._left.pop(0)[1])
        return reply_fault(self.seed, self._requests)

    def _break_one(self) -> None:
        """Break the first that is due and can be broken, some time after the one before."""
        last = self.happened[-1][0] if self.happened else 0
        is_time = self._requests >= last + GAP[0]
        has_room = len(self.happened) < self._happened_before + MOST_FAULTS
        for kind in self._due if is_time and has_room else ():
            if self._break(kind):
                self._due.remove(kind)
                self.happened.append((self._requests, kind))
                return

    def _break(self, kind: str) -> bool:
        """Whether there was something to break; if not, another moment will do."""
        holder = next((d for d in self._drivers if d.process.pid == self._lease()), None)
        if kind in KILLED:
            victims = [pid for pid, command in self._workers() if KILLED[kind] in command]
            if not victims:
                return False
            with suppress(ProcessLookupError):
                os.kill(min(victims), signal.SIGKILL)
        elif kind == "node":
            self._cluster.remove_node(next(iter(self._cluster.worker_nodes)), allow_graceful=False)
            self._cluster.add_node(num_cpus=1)
        elif kind == "rival":
            self._start_driver()
        elif holder is None or holder in self._asleep:
            return False
        elif kind == "driver":
            holder.process.kill()
        elif kind == "sleep":
            holder.process.send_signal(signal.SIGSTOP)
            self._asleep.append(holder)
        return True

    def _workers(self) -> Iterator[tuple[int, str]]:
        """Process number and command of what the cluster's nodes have started, and no others."""
        for node in self._cluster.list_all_nodes():
            for raylet in node.all_processes[PROCESS_TYPE_RAYLET]:
                with suppress(psutil.NoSuchProcess):
                    for process in psutil.Process(raylet.process.pid).children(recursive=True):
                        with suppress(psutil.NoSuchProcess):
                            yield process.pid, " ".join(process.cmdline())

    def _lease(self) -> int | None:
        """Process that holds the root; None if nobody does."""
        content = self._store.read("leases/index.json")
        record = json.loads(content) if content else {"released": True}
        return None if record["released"] else int(record["process"]["pid"])

    def _wake_those_who_were_overtaken(self) -> None:
        """A sleeper keeps the cluster's CPUs; awake, it must find out that its root is gone."""
        if self._asleep and self._lease() not in {driver.process.pid for driver in self._asleep}:
            for driver in self._asleep:
                driver.process.send_signal(signal.SIGCONT)
            self._asleep = []

    def _read(self, store: Store, ended: threading.Event, torn: list[str]) -> None:
        """Look at the dataset all the time: every video that is seen must be whole."""
        while not ended.wait(0.3):
            try:
                counted = connect(store).execute(WHOLE).fetchall()
                torn += [f"a reader saw {row}" for row in counted]
            except DatasetError:  # nothing yet
                continue
            except Exception as error:
                torn.append(f"a reader met {error!r}")


class Driver:
    """A run as a process, and what it says."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)
        self.said = ""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def has_ended(self, within_s: float) -> bool:
        """Whether it ends within so many seconds."""
        self._listener.join(within_s)
        return not self._listener.is_alive()

    def _listen(self) -> None:
        self.said = "".join(self.process.communicate())


# Videos that have not as many rows as they say.
WHOLE = """
    SELECT uri, n_clips, n_scenes, clips, scenes, vectors FROM (
        SELECT uri, n_clips, n_scenes,
            (SELECT count(*) FROM clips c WHERE c.video_id = v.video_id) AS clips,
            (SELECT count(*) FROM scenes s WHERE s.video_id = v.video_id) AS scenes,
            (SELECT count(*) FROM embeddings e WHERE e.video_id = v.video_id) AS vectors
        FROM videos v)
    WHERE (n_clips, n_scenes, n_clips) <> (clips, scenes, vectors)
"""


def _unfinished(store: Store) -> bool:
    """Whether a video is still to be tried again, since the store did not give it."""
    rows = connect(store).execute("SELECT status, count(*) FROM videos GROUP BY ALL").fetchall()
    return dict(rows) != {"success": N_VIDEOS}


def main(*, n_faults: int = 100, seed: int = 1, replay: str | None = None) -> None:
    """Break things.

    Args:
        n_faults: how many, beside the broken replies.
        seed: of the schedule and of the broken replies.
        replay: a schedule as a failure has printed it, in place of a drawn one.
    """
    for name, value in {
        "AWS_ACCESS_KEY_ID": "flexivideo-test",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }.items():
        os.environ.setdefault(name, value)
    schedule = json.loads(replay) if replay else drawn(seed, n_faults)
    chaos = Chaos(seed=seed, schedule=[(moment, kind) for moment, kind in schedule])
    try:
        chaos.run()
    except AssertionError as error:
        sys.exit(str(error))
    counts = {kind: sum(kind == k for _, k in chaos.happened) for kind in FAULTS}
    print(f"{len(chaos.happened)} faults, nothing lost, doubled or torn: {counts}")


if __name__ == "__main__":
    run(main)
