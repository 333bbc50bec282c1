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


@contextmanager
def service() -> Iterator[str]:
    """Run the service on a free port, with folders of its own below ``out/``; give its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "MOUTHPIECE_HOST": "127.0.0.1",
        "MOUTHPIECE_PORT": str(port),
        "MOUTHPIECE_AVATARS_DIR": "out/avatars",
        "MOUTHPIECE_DATA_DIR": "out/data",
        "MOUTHPIECE_API_KEYS": "",
        "MOUTHPIECE_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_ready(client: httpx.Client, seconds: float = 120.0) -> None:
    """Wait for ``/readyz``; end the program with the service's own sentence if it does not come."""
    deadline = time.monotonic() + seconds
    answer = "The service did not answer."
    while time.monotonic() < deadline:
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
    with service() as url, httpx.Client(base_url=url, timeout=600) as client:
        wait_until_ready(client)
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
