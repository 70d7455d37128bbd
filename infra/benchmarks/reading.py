"""How an object is best fetched: whole, or in ranges of which size, so many ahead of the reader.

    python infra/benchmarks/reading.py VIDEO... [--large-mib 1024 --rounds 3]

Puts the videos and one large object into a store of its own (SeaweedFS), behind a proxy that lets
each request wait and gives each connection so many bytes a second, and reads them as a decode
worker does: to the end, through ``FetchedFile``, pinned to one version. The settings take turns, so
that whatever else the machine does hits them alike.
"""

import asyncio
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from cyclopts import run

from pipeline import fetched_file
from pipeline.object_requests import filesystem
from pipeline.source_file import open_source
from pipeline.sources import Listing
from pipeline.store_settings import StoreSettings

MIB = 2**20
BUCKET, START_S = "reading", 60


async def be_proxy(upstream: str, port: int, delay_s: float, connection_mb_s: float) -> None:
    """The proxy, until it is killed."""
    session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))

    async def handle(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(delay_s)
        begun_s, n_sent = time.monotonic(), 0
        async with session.request(
            request.method,
            f"{upstream}{request.raw_path}",
            headers=request.headers,
            data=await request.read(),
        ) as reply:
            headers = {
                name: value for name, value in reply.headers.items() if name != "Transfer-Encoding"
            }
            response = web.StreamResponse(status=reply.status, headers=headers)
            await response.prepare(request)
            async for part in reply.content.iter_chunked(1 << 18):
                await response.write(part)
                n_sent += len(part)
                ahead_s = begun_s + n_sent / (connection_mb_s * 1e6) - time.monotonic()
                if ahead_s > 0:
                    await asyncio.sleep(ahead_s)
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


@contextmanager
def proxy(upstream: str, delay_ms: int, connection_mb_s: float) -> Iterator[str]:
    """Its address; it runs in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--serve", upstream, f"--port={port}", f"--delay-ms={delay_ms}"]
    rate = f"--connection-mb-s={connection_mb_s}"
    process = subprocess.Popen([sys.executable, __file__, *options, rate])
    try:
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def seconds(names: Sequence[str], endpoint_url: str, block_mib: int | None, ahead: int) -> float:
    """What reading some objects takes, one after another.

    Args:
        names: of the objects.
        endpoint_url: of the proxy.
        block_mib: of a range; None: one that holds all.
        ahead: ranges on their way, the one that is read among them.
    """
    store = StoreSettings(endpoint_url=endpoint_url)
    refs = [ref for name in names for ref in Listing([f"s3://{BUCKET}/{name}"], store)]
    fetched_file.BLOCKS_AHEAD = ahead
    begun_s = time.perf_counter()
    for ref in refs:
        fetched_file.BLOCK_BYTES = block_mib * MIB if block_mib else ref.size_bytes or 1
        with open_source(ref, max_size_mib=None, store=store) as file:
            while file.read(4 * MIB):
                pass
    return time.perf_counter() - begun_s


def main(
    *videos: Path,
    large_mib: int = 1024,
    rounds: int = 3,
    delay_ms: tuple[int, ...] = (20, 50),
    connection_mb_s: float = 80.0,
    block_mib: tuple[int, ...] = (1, 4, 8, 16),
    ahead: tuple[int, ...] = (2, 3, 8),
    serve: str | None = None,
    port: int = 0,
) -> None:
    """Lay out, read in turn, print the medians.

    Args:
        videos: files that are read one after another.
        large_mib: of an object of noise; 0: none.
        rounds: how often each setting has its turn.
        delay_ms: what a request waits.
        connection_mb_s: what one connection brings.
        block_mib: sizes of a range.
        ahead: ranges on their way, the one that is read among them.
        serve: be the proxy before this address.
        port: of the proxy.
    """
    if serve:
        asyncio.run(be_proxy(serve, port, delay_ms[0] / 1000, connection_mb_s))
        return
    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    from s3_server import seaweed

    os.environ.setdefault("AWS_ACCESS_KEY_ID", "benchmark")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "benchmark")
    settings = [(None, 1), *itertools.product(block_mib, ahead)]
    took: dict[tuple[object, ...], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, seaweed(Path(folder)) as server:
        store = filesystem(StoreSettings(endpoint_url=server))
        store.call_s3("create_bucket", Bucket=BUCKET)
        for video in videos:
            store.put_file(str(video), f"{BUCKET}/{video.name}")
        if large_mib:
            with store.open(f"{BUCKET}/large", "wb", block_size=64 * MIB) as file:
                for _ in range(large_mib // 16):
                    file.write(os.urandom(16 * MIB))
        sets = {"videos": [video.name for video in videos], "large": ["large"] * bool(large_mib)}
        for delay in delay_ms:
            with proxy(server, delay, connection_mb_s) as address:
                for _, setting in itertools.product(range(rounds), settings):
                    for name, names in sets.items():
                        if names:
                            took[name, delay, *setting].append(seconds(names, address, *setting))
    for name, delay in dict.fromkeys(key[:2] for key in took):
        print(f"\n{name}, {delay} ms a request, {connection_mb_s:g} MB/s a connection; median s\n")
        print(f"| block | alone | {' | '.join(f'{n} on their way' for n in ahead)} |")
        print(f"|{'---|' * (2 + len(ahead))}")
        for block in (None, *block_mib):
            cells = [took.get((name, delay, block, n), []) for n in (1, *ahead)]
            said = [f"{statistics.median(times):.2f}" if times else "" for times in cells]
            print(f"| {f'{block} MiB' if block else 'whole'} | {' | '.join(said)} |")


if __name__ == "__main__":
    run(main)
