"""Clients that send too much, too slowly or nothing at all, against a real server."""

import asyncio
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.api.connections import (
    MAX_HEAD_BYTES,
    TAKEN_AT_A_TURN,
    CalmProtocol,
    connections_for,
    listen_more,
)
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE

ANSWER = 8 << 20
Serve = Callable[..., int]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body, then answer ``ok``, or what was asked for, or a lot where ``/lot`` is."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    body = bytes(ANSWER) if scope["path"] == "/lot" else b"ok"
    if scope["query_string"]:
        hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]
        body = json.dumps([hosts, scope["path"], scope["query_string"].decode()]).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers whose limits are given by name; return their ports."""
    with ExitStack() as stack:

        def serve(**limits: Any) -> int:
            quick = {"look_seconds": 0.02} | limits
            protocol = type("Quick", (CalmProtocol,), quick)
            port = free_port()
            config = uvicorn.Config(
                application,
                port=port,
                http=protocol,
                lifespan="off",
                log_config=None,
                timeout_keep_alive=int(DEADLINE),
            )
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run)
            thread.start()

            def stop() -> None:
                server.should_exit = server.force_exit = True
                thread.join()

            stack.callback(stop)
            while not server.started:
                time.sleep(0.005)
            return port

        yield serve


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def next_answer(connection: socket.socket) -> bytes:
    """Return one whole answer of the application: it may come in pieces."""
    received, length = b"", 1 << 20
    while len(received) < length and (data := connection.recv(65536)):
        received += data
        if match := re.search(rb"content-length: (\d+).*?\r\n\r\n", received, re.DOTALL):
            length = match.end() + int(match[1])
    return received


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server hangs up."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def ask(connection: socket.socket, path: str = "/", more: str = "") -> None:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())


def test_a_head_without_end_is_refused_before_it_is_all_there(serve: Serve) -> None:
    with connect(serve()) as connection:
        sent = 0
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        try:
            for _ in range(1000):
                sent += connection.send(b"x" * 65536)
        except OSError:
            pass
        assert sent < 64 << 20
    with connect(serve()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1))
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/a?b", [["x"], "/a", "b"]),
        ("http://evil.example/a/c?b", [["evil.example"], "/a/c", "b"]),
        ("HTTP://here:8000/a?b", [["here:8000"], "/a", "b"]),
        ("https://[::1]:80?b", [["[::1]:80"], "/", "b"]),
        ("http://user@here/a?b", [["x"], "http://user@here/a", "b"]),
    ],
)
def test_a_request_may_name_its_whole_address(serve: Serve, target: str, told: list[Any]) -> None:
    with connect(serve()) as connection:
        ask(connection, target, "Connection: close\r\n")
        assert json.loads(rest(connection).partition(b"\r\n\r\n")[2]) == told


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHos"])
def test_half_a_head_does_not_hold_a_connection(serve: Serve, sent: bytes) -> None:
    with connect(serve(head_seconds=0.1)) as connection:
        connection.sendall(sent)
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


@property  # type: ignore[misc]  # of a protocol, where it is set as a limit
def soon_after_the_first(protocol: CalmProtocol) -> float:
    """As seconds for a head: few, but not for the first one, which is on its way."""
    return DEADLINE if protocol.cycle is None else 0.1


def test_half_a_second_head_does_not_either(serve: Serve) -> None:
    with connect(serve(head_seconds=soon_after_the_first)) as connection:
        ask(connection)
        assert next_answer(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET / HT")
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


BODY = "Content-Length: 100000\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


def test_a_body_in_tiny_chunks_is_refused(serve: Serve) -> None:
    with connect(serve()) as connection:
        ask(connection, more=CHUNKED)
        connection.sendall(b"1\r\nx\r\n" * 1001)
        assert rest(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("chunks", [b"1\r\nx\r\n" * 1000, (b"80\r\n" + b"x" * 128 + b"\r\n") * 3000])
def test_a_body_in_other_chunks_is_taken(serve: Serve, chunks: bytes) -> None:
    with connect(serve()) as connection:
        for _ in range(2):
            ask(connection, more=CHUNKED)
            connection.sendall(chunks + b"0\r\n\r\n")
            assert next_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_stands_still_is_cut_off(serve: Serve) -> None:
    with connect(serve(body_seconds=0.1)) as connection:
        ask(connection, more=BODY)
        connection.sendall(b"x" * 500)
        assert rest(connection) == b""


def test_a_slow_body_that_makes_progress_is_waited_for(serve: Serve) -> None:
    with connect(serve(body_seconds=2.0, head_seconds=soon_after_the_first)) as connection:
        ask(connection, more=BODY)
        for _ in range(20):
            connection.sendall(b"x" * 5000)
            threading.Event().wait(0.15)
        assert next_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_nobody_reads_is_cut_off(serve: Serve) -> None:
    cut_off = threading.Event()

    def connection_lost(protocol: CalmProtocol, error: Exception | None) -> None:
        CalmProtocol.connection_lost(protocol, error)
        cut_off.set()

    with connect(serve(write_seconds=0.1, connection_lost=connection_lost)) as connection:
        ask(connection, "/lot")
        assert cut_off.wait(DEADLINE)
        assert len(rest(connection)) < ANSWER


def test_a_crowd_leaves_room_for_probes(serve: Serve) -> None:
    port = serve(max_connections=3, spare_connections=2)
    with ExitStack() as stack:
        crowd = [stack.enter_context(connect(port)) for _ in range(3)]
        for connection in crowd:
            ask(connection, more=BODY)
        late = stack.enter_context(connect(port))
        ask(late)
        answer = rest(late)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"urn:mouthpiece:problem:too-busy" in answer
        assert b"retry-after" in answer
        probe = stack.enter_context(connect(port))
        ask(probe, "/livez")
        assert next_answer(probe).startswith(b"HTTP/1.1 200 ")


def test_a_head_that_is_refused_for_want_of_a_connection_has_no_body(serve: Serve) -> None:
    port = serve(max_connections=0)
    with connect(port) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_connection_for_probes_stays_one(serve: Serve) -> None:
    with connect(serve(max_connections=0)) as connection:
        connection.sendall(b"GET /livez?verbose HTTP/1.1\r\nHo")
        threading.Event().wait(0.1)
        connection.sendall(b"st: x\r\n\r\n")
        assert next_answer(connection).startswith(b"HTTP/1.1 200 ")
        ask(connection)
        assert rest(connection).startswith(b"HTTP/1.1 503 ")


def test_what_comes_behind_a_probe_in_one_packet_is_refused_as_well(serve: Serve) -> None:
    with connect(serve(max_connections=0)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nPOST /other HTTP/1.1\r\nHost: x\r\n\r\n")
        answers = rest(connection)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert answers.count(b"HTTP/1.1 503 ") == 1


def test_many_connections_are_taken_in_a_turn_of_the_loop() -> None:
    turns, counted, crowd = 0, Counter[int](), 4 * TAKEN_AT_A_TURN

    class Counting(CalmProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            counted[turns] += 1

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            await listen_more(self)
            asyncio.get_running_loop().call_soon(self.turn)

        def turn(self) -> None:
            nonlocal turns
            turns += 1
            if counted.total() < crowd:
                asyncio.get_running_loop().call_soon(self.turn)
                if not clients:  # they come while the loop is at something else
                    clients.extend(connect(port) for _ in range(crowd))

    port, clients = free_port(), list[socket.socket]()
    config = uvicorn.Config(application, port=port, http=Counting, lifespan="off", log_config=None)
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + DEADLINE
        while counted.total() < crowd and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        for client in clients:
            client.close()
    assert counted.total() == crowd
    assert max(counted.values()) > 1


def test_whoever_asks_for_nothing_makes_room(serve: Serve) -> None:
    port = serve(max_connections=3, spare_connections=2)
    with ExitStack() as stack:
        crowd = [stack.enter_context(connect(port)) for _ in range(20)]
        probe = stack.enter_context(connect(port))
        ask(probe, "/livez")
        assert next_answer(probe).startswith(b"HTTP/1.1 200 ")
        assert rest(crowd[0]) == b""


def test_there_are_handles_for_as_many_connections_as_are_taken() -> None:
    assert 16 <= connections_for(10**9) < 65536
    assert connections_for(100) == 100
