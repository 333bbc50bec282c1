"""Hosts of https: a certificate must be of the name that was asked for, whatever address that has."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from app.errors import FetchFailed
from app.outside import reach
from app.outside.allowance import Allowance
from app.outside.fetching import Fetcher

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"film")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server on 127.0.0.1 whose certificate is for media.test."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("media.test").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are meant
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    reach._tls.cache_clear()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()
    reach._tls.cache_clear()


async def fetch(port: int, host: str) -> bytes:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    fetcher = Fetcher(Allowance.of({f"{host}:{port}"}), resolve=here)
    async with fetcher.fetch(f"https://{host}:{port}/clip") as file:
        return b"".join([piece async for piece in file.pieces])


async def test_a_certificate_is_that_of_the_name_and_not_of_the_address(port: int) -> None:
    assert await fetch(port, "media.test") == b"film"


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"])
async def test_a_certificate_of_another_name_is_refused(port: int, host: str) -> None:
    with pytest.raises(FetchFailed, match="cannot be connected to"):
        await fetch(port, host)
