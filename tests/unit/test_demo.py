"""What ``make demo`` takes from the machine it runs on: nothing of a real service, and no proxy."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from app.settings import PREFIX, Settings
from demo import run


def test_nothing_of_a_real_service_is_touched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = {
        "DATABASE_URL": "postgresql://me@db/jobs",
        "RAY_ADDRESS": "10.0.0.5:6379",
        "OTLP_URL": "http://collector:4318",
        "WEBHOOK_URL": "https://app.example.org/hook",
        "API_KEYS": "sesame",
        "AVATARS_DIR": "/srv/avatars",
        "DATA_DIR": "/srv/data",
        "FRAMES_DIR": "/srv/frames",
    }
    (tmp_path / ".env").write_text("".join(f"MOUTHPIECE_{name}={value}\n" for name, value in real.items()))
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    assert Settings().frames_dir == Path("/srv/frames")
    for name, value in run.OWN.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.database_url, settings.ray_address, settings.webhook_url) == (None, None, None)
    assert (settings.otlp_url, settings.api_keys) == (None, frozenset())
    folders = (settings.avatars_dir, settings.data_dir, settings.frames_dir)
    assert [folder and folder.parts[0] for folder in folders] == ["out", "out", "out"]


def test_the_service_is_reached_although_the_environment_names_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.handle_request).start()
        with run.client_of(f"http://127.0.0.1:{server.server_port}") as client:
            assert client.get("/readyz").text == "ok"


class Answering(BaseHTTPRequestHandler):
    """Answers every request by ok."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def test_a_service_that_ends_is_not_waited_for() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with (
        httpx.Client(base_url="http://service", transport=httpx.MockTransport(refuse)) as client,
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process,
        pytest.raises(SystemExit, match="ended with status 3"),
    ):
        run.wait_until_ready(client, process)
