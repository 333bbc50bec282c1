"""What callers send by mistake or in malice, and what they are to be answered."""

import httpx

from tests.support.server import Server


def problem(response: httpx.Response, status: int, code: str) -> str:
    """Check a problem document; return its sentence."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["type"]) == (status, f"urn:mouthpiece:problem:{code}")
    assert "Traceback" not in response.text
    assert "/" + "tmp" not in response.text
    detail: str = body["detail"]
    assert detail.endswith((".", "?"))
    return detail


def leftovers(server: Server) -> set[str]:
    """Return what lies on the volumes beside the avatars and the records."""
    strays = {str(path) for path in (server.data_dir / "jobs").glob("*/upload")}
    return strays | {path.name for path in server.avatars_dir.glob(".*")}


def make(server: Server, content: bytes, **data: str) -> httpx.Response:
    return server.client.post("/v1/avatars", data=data, files={"video": ("x.mp4", content)})


def say(server: Server, anna: str, content: bytes, **data: str) -> httpx.Response:
    return server.client.post(anna, data=data, files={"audio": ("x.wav", content)})
