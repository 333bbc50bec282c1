"""How these tests ask for renders."""

from pathlib import Path

import httpx

from tests.support.server import Server


def post(
    server: Server, address: str, audio: Path, data: dict[str, str] | None = None, **headers: str
) -> httpx.Response:
    files = {"audio": audio.read_bytes()}
    return server.client.post(address, data=data or {}, files=files, headers=headers)


def begin(server: Server, address: str, audio: Path) -> str:
    """Submit a render in the background; return its job's id."""
    response = post(server, address, audio, Prefer="respond-async")
    assert response.status_code == 202, response.text
    job_id: str = response.json()["id"]
    return job_id
