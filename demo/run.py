"""Start the service, make an avatar of the demo clip over HTTP, have it speak, and say how long it took."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

DEMO: Final = Path(__file__).parent
OUTPUT: Final = Path("out/demo.mp4")
AVATAR: Final = "demo"

OWN: Final = {
    "MOUTHPIECE_HOST": "127.0.0.1",
    "MOUTHPIECE_AVATARS_DIR": "out/avatars",
    "MOUTHPIECE_DATA_DIR": "out/data",
    "MOUTHPIECE_FRAMES_DIR": "out/frames",
    "MOUTHPIECE_API_KEYS": "",
    "MOUTHPIECE_DATABASE_URL": "",
    "MOUTHPIECE_RAY_ADDRESS": "",
    "MOUTHPIECE_WEBHOOK_URL": "",
    "MOUTHPIECE_OTLP_URL": "",
    "MOUTHPIECE_LOG_LEVEL": "warning",
}
"""What the demo's service must not take from the environment or ``.env``: those may be a real service's."""


@contextmanager
def service() -> Iterator[httpx.Client]:
    """Run the service on a free port, with folders of its own below ``out/``; give a client of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | OWN | {"MOUTHPIECE_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=environment)
    try:
        with client_of(f"http://127.0.0.1:{port}") as client:
            wait_until_ready(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def client_of(url: str) -> httpx.Client:
    """Return a client of a service on this machine: it uses no proxy that the environment names."""
    return httpx.Client(base_url=url, timeout=600, trust_env=False)


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    """Wait for ``/readyz``; end the program with the reason if it does not come, or the service ends."""
    deadline = time.monotonic() + seconds
    answer = "The service did not answer."
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"The service ended with status {process.returncode}.")
        try:
            response = client.get("/readyz")
            if response.is_success:
                return
            answer = response.text
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    sys.exit(answer)


def expect(response: httpx.Response, *allowed: int) -> httpx.Response:
    """Return ``response``; end the program with the problem's sentence unless its status is allowed."""
    if response.status_code not in allowed:
        sys.exit(f"{response.request.method} {response.url}: {response.status_code} {response.text}")
    return response


def main() -> None:
    """Run the demo."""
    OUTPUT.parent.mkdir(exist_ok=True)
    clip, words = DEMO / "portrait.mp4", DEMO / "speech.wav"
    with service() as client:
        url = str(client.base_url).rstrip("/")
        expect(client.delete(f"/v1/avatars/{AVATAR}"), 204, 404)

        print(f"curl -F id={AVATAR} -F video=@{clip.relative_to(DEMO.parent)} {url}/v1/avatars")
        with clip.open("rb") as video:
            answer = client.post("/v1/avatars", data={"id": AVATAR}, files={"video": video})
        avatar = expect(answer, 201).json()
        print(f"  {avatar['frame_count']} frames, {avatar['face_frames']} with a face")

        target = f"{url}/v1/avatars/{AVATAR}/renders"
        print(f"curl -F audio=@{words.relative_to(DEMO.parent)} -o {OUTPUT} {target}")
        started = time.perf_counter()
        with words.open("rb") as audio:
            answer = expect(client.post(target, files={"audio": audio}), 200)
        elapsed = time.perf_counter() - started
        OUTPUT.write_bytes(answer.content)
        job = expect(client.get(answer.headers["Content-Location"]), 200).json()

    duration = job["progress"]["frames_total"] / avatar["fps"]
    print(f"  {duration:.1f} s of video in {elapsed:.1f} s: {duration / elapsed:.2f}x real time")
    print(f"{OUTPUT.resolve()}")


if __name__ == "__main__":
    main()
