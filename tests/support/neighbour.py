"""Another server on this machine: it has files, takes what is sent to it, and misbehaves as it is told."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.ports import free_port
from tests.support.waiting import DEADLINE


@dataclass(frozen=True)
class Taken:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    """By names in small letters."""
    body: bytes
    status: int
    """What it was answered."""


@dataclass
class Neighbour:
    """See the module. Beside its files it has `/to?url=`, `/endless`, `/drip`, `/packed`, `/silent`."""

    port: int = field(default_factory=free_port)
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)
    """By path, what the next requests with a body are answered; then 200."""
    retry_after: str = ""
    """What a refusal of a request with a body asks for."""
    pauses: dict[str, float] = field(default_factory=dict)
    """By path, seconds before a request with a body is answered."""
    redirects: dict[str, str] = field(default_factory=dict)
    """By path, where a request with a body is sent on to."""
    taken: list[Taken] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def paths(self, method: str = "GET") -> list[str]:
        """Return the paths that were asked for, in order."""
        return [each.path for each in self.taken if each.method == method]

    @contextmanager
    def open(self) -> Iterator["Neighbour"]:
        """Answer for as long as the block lasts."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(neighbour: Neighbour) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            with suppress(OSError):
                match parts.path:
                    case "/to":
                        self.answer(302, b"", headers={"Location": parse_qs(parts.query)["url"][0]})
                    case "/endless":
                        self.begin(200)
                        while True:
                            self.wfile.write(bytes(65536))
                    case "/drip":
                        self.begin(200)
                        while True:
                            self.wfile.write(b"x")
                            time.sleep(0.02)
                    case "/packed":
                        self.answer(200, b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
                    case "/silent":
                        time.sleep(DEADLINE)
                    case path if path in neighbour.files:
                        self.answer(200, neighbour.files[path])
                    case _:
                        self.answer(404, b"")

        def do_POST(self) -> None:
            self.take()

        def do_PUT(self) -> None:
            self.take()

        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(neighbour.pauses.get(self.path, 0))
            waiting = neighbour.answers.get(self.path, [])
            with suppress(OSError):
                if there := neighbour.redirects.get(self.path):
                    self.answer(307, b"", body, {"Location": there})
                else:
                    status = waiting.pop(0) if waiting else 200
                    asks = status >= 400 and neighbour.retry_after
                    self.answer(status, b"", body, {"Retry-After": neighbour.retry_after} if asks else {})

        def begin(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
            given = {name.lower(): value for name, value in self.headers.items()}
            neighbour.taken.append(Taken(self.command, self.path, given, body, status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def answer(
            self, status: int, content: bytes, body: bytes = b"", headers: Mapping[str, str] = {}
        ) -> None:
            self.begin(status, body, {"Content-Length": str(len(content))} | dict(headers))
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
