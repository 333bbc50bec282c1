"""Requests of n8n's HTTP Request node, as they were recorded: its binary field is called data or file, fields
are left empty, fields of other services are there.

The recordings in ``n8n/`` are of axios with form-data, which that node sends with. ``<FILE>``, ``<ADDRESS>``
and ``<HOST>`` stand for what differs from one flow to the next.
"""

import re
import socket
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.support.neighbour import Neighbour
from tests.support.renders import decode_pictures
from tests.support.server import Server

RECORDINGS = Path(__file__).parent / "n8n"
LENGTH = re.compile(rb"(?<=content-length: )\d+", re.IGNORECASE)


def recorded(name: str, file: bytes, address: str, host: str) -> bytes:
    """Return a recording with what was left out of it."""
    request = (RECORDINGS / f"{name}.http").read_bytes()
    request = request.replace(b"6\r\n<FILE>", b"%x\r\n<FILE>" % len(file))
    request = request.replace(b"<FILE>", file).replace(b"<ADDRESS>", address.encode())
    head, body = request.replace(b"<HOST>", host.encode()).split(b"\r\n\r\n", 1)
    return LENGTH.sub(str(len(body)).encode(), head) + b"\r\n\r\n" + body


def exchange(port: int, request: bytes) -> tuple[HTTPResponse, bytes]:
    """Send bytes, and return the answer with its body."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection)
        answer.begin()
        return answer, answer.read()


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDINGS.glob("*.http")))
def test_a_recorded_request_is_answered_with_the_video(
    talking: Server,
    neighbour: Neighbour,
    speech: Callable[[float], Path],
    tmp_path: Path,
    name: str,
) -> None:
    file = speech(0.4).read_bytes()
    neighbour.files["/words.wav"] = file
    request = recorded(name, file, f"{neighbour.url}/words.wav", f"127.0.0.1:{talking.port}")
    answer, body = exchange(talking.port, request)
    assert answer.status == 200, body
    (tmp_path / "said.mp4").write_bytes(body)
    assert sum(1 for _ in decode_pictures(tmp_path / "said.mp4")) == 10
    job = talking.job(str(answer.headers["content-location"]).rsplit("/", 1)[1])
    ignored = {"form-chunked": "colour", "json": "json"}.get(name)
    told = [warning["detail"] for warning in job["warnings"]]
    assert told == ([f"These fields are unknown here and were ignored: {ignored}."] if ignored else [])
