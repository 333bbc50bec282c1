"""A small text-to-speech server with OpenAI's ``POST /v1/audio/speech``, which speaks with espeak-ng."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.clips import beginning

SPEECH = Path(__file__).parents[2] / "demo" / "speech.wav"
FEW_SECONDS = 2.5
VOICES = {"alloy": "en-gb", "nova": "en-us"}


@dataclass
class Speaking:
    """The server while it runs: where it is, and what it was asked."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    answer: tuple[int, str, bytes] | None = None
    """A status, a content type and a body to send instead of sound."""


@contextmanager
def speaking() -> Iterator[Speaking]:
    """Run the server for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append(asked)
            state.keys.append(self.headers["Authorization"])
            if self.path != "/v1/audio/speech":
                self._send(404, "application/json", b'{"detail": "Not Found"}')
            elif state.answer is not None:
                self._send(*state.answer)
            elif asked["voice"] not in VOICES:
                error = {"error": {"message": f"There is no voice '{asked['voice']}'.", "code": None}}
                self._send(400, "application/json", json.dumps(error).encode())
            else:
                self._send(200, "audio/wav", say(asked["input"], VOICES[asked["voice"]]))

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Speaking(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def say(text: str, voice: str = "en-gb") -> bytes:
    """Return a WAV file of the text; of the demo's first words, where espeak-ng is not installed."""
    program = shutil.which("espeak-ng")
    if program is None:
        with TemporaryDirectory() as folder:
            return beginning(SPEECH, Path(folder) / "words.wav", FEW_SECONDS).read_bytes()
    return subprocess.run(
        [program, "-v", voice, "--stdout", "--stdin"], input=text.encode(), capture_output=True, check=True
    ).stdout
