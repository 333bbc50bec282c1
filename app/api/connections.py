"""Bounded connections: request heads have limits, stalled clients are cut off, health checks get through.

h11 limits the head of a request, in pure Python, and passes nothing on before the head is complete. A body
or a response may take as long as it needs while it makes progress.
"""

import asyncio
import json
import os
import re
import resource
import socket
from functools import partial
from typing import Any, ClassVar, Final

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.api.problems import MEDIA_TYPE, error_response
from app.errors import Problem, TooBusy

PROBES: Final = ("/livez", "/readyz", "/metrics")
"""What is answered when everything else is refused for want of connections."""
_PROBING: Final = tuple(
    f"{method} {path}{end}".encode() for method in ("GET", "HEAD") for path in PROBES for end in " ?"
)
"""How such a request begins; that much is sent in one piece."""
TAKEN_AT_A_TURN: Final = 16
"""How many new connections are taken in a turn of the event loop: each takes it 80 us, and while it waits to
be taken, so does a probe behind it."""
MAX_HEAD_BYTES: Final = 32 << 10
_ABSOLUTE: Final = re.compile(rb"https?://([\w.:\[\]-]+)((?:[/?].*)?)", re.IGNORECASE)
"""A target with all of an address: the name and port of the host, and the rest."""
_HANDLES_A_CONNECTION: Final = 3
"""Its socket, a file that it writes or reads, and what that takes in between."""
_OTHER_HANDLES: Final = 128
_MOST_HANDLES: Final = 65536
_FREE_CHUNKS: Final = 1000
_LEAST_CHUNK: Final = 64
"""Bytes that the chunks of a body must have on average, after the first so many: each takes 12 us to read."""


def connections_for(wanted: int) -> int:
    """Return how many connections this process can keep, at most ``wanted``; take the handles for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    handles = _MOST_HANDLES if hard == resource.RLIM_INFINITY else min(hard, _MOST_HANDLES)
    if soft != resource.RLIM_INFINITY and soft < handles:
        resource.setrlimit(resource.RLIMIT_NOFILE, (handles, hard))
    return max(16, min(wanted, (handles - _OTHER_HANDLES) // _HANDLES_A_CONNECTION))


def protocol_for(max_connections: int) -> type["CalmProtocol"]:
    """Return the protocol for a server of that many connections."""
    return type("Protocol", (CalmProtocol,), {"max_connections": max_connections})


async def listen_more(server: uvicorn.Server) -> None:
    """Have a server that has been started take :data:`TAKEN_AT_A_TURN` connections in a turn of its loop.

    Of each listener uvloop takes one, so it gets as many listeners at the same socket.
    """
    loop = asyncio.get_running_loop()
    protocol: Any = server.config.http_protocol_class
    make = partial(
        protocol,
        config=server.config,
        server_state=server.server_state,
        app_state=server.lifespan.state,
    )
    handles = [listener.fileno() for each in server.servers for listener in each.sockets]
    for handle in handles * (TAKEN_AT_A_TURN - 1):
        again = socket.socket(fileno=os.dup(handle))
        server.servers.append(await loop.create_server(make, sock=again, backlog=server.config.backlog))


class _Connection(h11.Connection):
    """A connection that refuses bodies in tiny chunks, with which a client could keep the event loop busy.

    A request that names its whole address is passed on as one for that host.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self._chunks = self._bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
            return _in_origin_form(event)
        if isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            self._bytes += len(event.data)
            if self._chunks > _FREE_CHUNKS and self._bytes < self._chunks * _LEAST_CHUNK:
                raise h11.RemoteProtocolError(f"The chunks have fewer than {_LEAST_CHUNK} bytes on average.")
        return event


def _in_origin_form(request: h11.Request) -> h11.Request:
    """Return a request without scheme and authority in its target.

    The latter is its ``Host``, whatever it says there (RFC 9112, 3.2.2).
    """
    match = _ABSOLUTE.fullmatch(request.target)
    if match is None:
        return request
    authority, target = match.groups()
    headers = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        headers=[(b"host", authority), *headers],
        target=target if target.startswith(b"/") else b"/" + target,
        http_version=request.http_version,
    )


class CalmProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn and h11, with limits in time and number."""

    max_connections: ClassVar[int] = 1000
    spare_connections: ClassVar[int] = 64
    """Beyond those, for probes; if they are taken, too, whoever has not yet asked for anything goes."""
    head_seconds: ClassVar[float] = 10.0
    """From the opening of a connection, or the first byte of another request, to the end of its head."""
    body_seconds: ClassVar[float] = 30.0
    write_seconds: ClassVar[float] = 60.0
    """In so much time a body, and the reader of an answer, must come on by :attr:`least_bytes`."""
    least_bytes: ClassVar[int] = 1024
    look_seconds: ClassVar[float] = 2.0
    _newcomers: ClassVar[dict["CalmProtocol", None]]
    """Connections in the order of their coming, of which some may have asked for something since."""

    def __init_subclass__(cls) -> None:
        cls._newcomers = {}

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = _Connection()
        self._timer: asyncio.TimerHandle | None = None
        self._is_spare = False
        self._since = self.loop.time()
        self._received = 0
        self._mark = (self._since, "", 0)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; beyond the limit, for a probe only."""
        super().connection_made(transport)
        self._newcomers[self] = None
        self._is_spare = len(self.connections) > self.max_connections
        if self._is_spare:
            self.app = _only_probes(self.app)
        if len(self.connections) > self.max_connections + self.spare_connections:
            self._make_room()
        self._timer = self.loop.call_later(self.look_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._newcomers.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first ones of a request begin the time for its head."""
        if self._is_spare and self._begins_request and not data.startswith(_PROBING):
            self.transport.write(_busy(data))
            self.transport.close()
            return
        if self._is_idle and self.timeout_keep_alive_task is not None:
            self._since = self.loop.time()
        self._received += len(data)
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or one whose head is too large, and hang up."""
        self._refuse(400, "Bad Request", f"{msg} The headers may have {MAX_HEAD_BYTES >> 10} kB.")

    @property
    def asks_for_nothing(self) -> bool:
        """Whether there is a connection, and never was a whole head on it."""
        return self.cycle is None and not self.transport.is_closing()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or (self.cycle.response_complete and not self._is_sending)

    @property
    def _begins_request(self) -> bool:
        """Whether what comes next is the first of a request."""
        return self._is_idle and not self.conn.trailing_data[0]

    @property
    def _is_sending(self) -> bool:
        """Whether a body is still to come from the client."""
        return self.conn.their_state is h11.SEND_BODY

    def _make_room(self) -> None:
        """Cut off whoever has waited longest without a request; each is looked at once."""
        while self._newcomers:
            first = next(iter(self._newcomers))
            del self._newcomers[first]
            if first.asks_for_nothing:
                first.transport.abort()
                return

    def _look(self) -> None:
        """Look whether the client has come on, and cut the connection off if not."""
        now = self.loop.time()
        if self._stands_still(now):
            self.transport.abort()
        elif self._is_late(now) and not self.transport.is_closing():
            self._refuse(408, "Request Timeout", "The headers of the request took too long to arrive.")
        self._timer = self.loop.call_later(self.look_seconds, self._look)

    def _is_late(self, now: float) -> bool:
        """Whether a head has been awaited for too long; between two requests uvicorn's own timer runs."""
        awaited = self._is_idle and self.timeout_keep_alive_task is None
        return awaited and now - self._since > self.head_seconds

    def _stands_still(self, now: float) -> bool:
        """Whether the client, where it is its turn, has neither sent nor read enough for too long.

        An answer is read to its end before anything else counts, also on a connection that is being closed.
        """
        if unread := self.transport.get_write_buffer_size():
            turn, done, patience = "read", -unread, self.write_seconds
        elif self._is_sending and not self.flow.read_paused:
            turn, done, patience = "send", self._received, self.body_seconds
        else:
            turn, done, patience = "", 0, self.body_seconds
        since, before, had = self._mark
        if not turn or turn != before or done - had >= self.least_bytes:
            self._mark = (now, turn, done)
            return False
        return now - since > patience

    def _refuse(self, status: int, title: str, detail: str) -> None:
        problem = Problem(type="about:blank", title=title, status=status, detail=detail)
        body = json.dumps(problem).encode()
        headers = [
            ("Content-Type", MEDIA_TYPE),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        answer = h11.Response(status_code=status, headers=headers, reason=title)
        try:
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # in the middle of an answer: nothing can be said any more
            self.transport.abort()
        self.transport.close()


def _busy(asked: bytes) -> bytes:
    """Return the answer to a request for which there is no connection; there may be thousands a second."""
    return _BUSY_HEAD if asked.startswith(b"HEAD ") else _BUSY_HEAD + _BUSY_BODY


_BUSY: Final = TooBusy("The service has reached its connection limit; try again in a few seconds.")
_BUSY_BODY: Final = json.dumps(_BUSY.problem()).encode()
_BUSY_HEAD: Final = (
    f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(_BUSY_BODY)}\r\n"
    f"retry-after: {_BUSY.retry_after}\r\nconnection: close\r\n\r\n"
).encode()


def _only_probes(app: ASGIApp) -> Any:
    """Return an application that answers probes; other requests may come behind one in the same packet."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBES:
            await app(scope, receive, send)
            return
        response = error_response(_BUSY)
        response.headers["Connection"] = "close"
        await response(scope, receive, send)

    return answer
