"""Real web servers on this machine: one with ranges and ETags over TLS, one that has neither."""

import asyncio
import contextlib
import datetime
import functools
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
START_S = 30


def certificate(folder: Path) -> Path:
    """A certificate of this machine's own, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flexivideo test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextlib.contextmanager
def web_server(folder: Path, certificate: Path | None = None) -> Iterator[str]:
    """A folder's files with ranges, ETags and times, under ``/files``; gives the address.

    ``/to?TARGET`` leads elsewhere, and ``/bare/NAME`` has no version at all.
    """
    loop, started, ends = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    address = []

    async def lead(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query_string})

    async def bare(request: web.Request) -> web.Response:
        return web.Response(body=(folder / request.match_info["name"]).read_bytes())

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/to", lead)
        app.router.add_get("/bare/{name}", bare)
        app.router.add_static("/files", folder)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        tls = None
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        address.append(f"http{'s' if tls else ''}://{HOST}:{port}")
        started.set()
        await ends.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(START_S)
    yield address[0]
    loop.call_soon_threadsafe(ends.set)
    thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def plain_server(folder: Path) -> Iterator[str]:
    """Python's own server, which gives files whole and says when they were changed."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()
