"""Bodies that are too long, malformed or cut off."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.api.uploads import WRITE_BYTES
from tests.e2e.hostile.sending import leftovers, problem, say
from tests.support.server import Server

Speech = Callable[[float], Path]


def test_an_upload_beyond_the_limit_is_refused_by_its_announced_length(server: Server, anna: str) -> None:
    problem(say(server, anna, bytes(3_200_000)), 413, "upload-too-large")


def test_an_upload_beyond_the_limit_is_refused_while_it_comes_in(server: Server, anna: str) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'
        for _ in range(60):
            yield bytes(65536)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(server.client.post(anna, content=body(), headers=headers), 413, "upload-too-large")


FORMS = {
    "no boundary": ("multipart/form-data", b"x"),
    "an overlong boundary": ("multipart/form-data; boundary=" + "x" * 300, b"x"),
    "no form": ("multipart/form-data; boundary=x", b""),
    "no end": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="audio"\r\n\r\nab',
    ),
    "no name": ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nab\r\n--x--\r\n"),
    "no file": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="fps"\r\n\r\n25\r\n--x--\r\n',
    ),
    "two files": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="audio"\r\n\r\na\r\n' * 2 + b"--x--\r\n",
    ),
    "no text": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="fps"\r\n\r\n\xff\xfe\r\n--x--\r\n',
    ),
    "nonsense": ("multipart/form-data; boundary=x", b"\x00\x01\x02" * 100),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_malformed_form_is_refused(server: Server, anna: str, form: str) -> None:
    kind, content = FORMS[form]
    response = server.client.post(anna, content=content, headers={"Content-Type": kind})
    if form == "no boundary":
        problem(response, 415, "unsupported-media")
    else:
        problem(response, 422, "invalid-request")


def test_another_kind_of_body_is_refused(server: Server, anna: str) -> None:
    response = server.client.post(anna, content=b"{}", headers={"Content-Type": "text/plain"})
    problem(response, 415, "unsupported-media")


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_that_names_no_file_is_refused(server: Server, anna: str, kind: str) -> None:
    response = server.client.post(anna, content=b"{}", headers={"Content-Type": kind})
    problem(response, 422, "invalid-request")


def test_a_body_cut_off_half_way_leaves_nothing(server: Server, anna: str) -> None:
    before = server.client.get("/v1/jobs").json()["jobs"][0]["id"]
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            f"POST {anna} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            "Content-Length: 4000000\r\n\r\n--x\r\n"
            'Content-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'.encode()
            + bytes(2 * WRITE_BYTES)
        )
        server.wait(lambda: leftovers(server))
    server.wait(lambda: not leftovers(server))
    assert server.client.get("/v1/jobs").json()["jobs"][0]["id"] == before
