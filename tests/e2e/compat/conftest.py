"""A real service that speaks as others do, and a file server, the only host that it may fetch from."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.neighbour import Neighbour
from tests.support.server import Server, running
from tests.support.videos import decode

KEY = "sesame"


@dataclass(frozen=True)
class Place:
    """The service and the files that it may fetch."""

    server: Server
    neighbour: Neighbour
    folder: Path

    @property
    def url(self) -> str:
        """Where the service is."""
        return self.server.url

    @property
    def video(self) -> str:
        """The address of a second of a talking head."""
        return f"{self.neighbour.url}/head.mp4"

    @property
    def audio(self) -> str:
        """The address of 0.4 seconds of speech."""
        return f"{self.neighbour.url}/words.wav"

    def told(self, path: str) -> Any:
        """Return what the first webhook said that came to a path of the neighbour."""
        posts = self.server.wait(
            lambda: [each for each in self.neighbour.taken if (each.method, each.path) == ("POST", path)]
        )
        return json.loads(posts[0].body)

    def frames(self, url: str) -> int:
        """Fetch a video without a key and return how many frames it has."""
        path = self.folder / "made.mp4"
        path.write_bytes(httpx.get(url, timeout=60).raise_for_status().content)
        return len(decode(path).frames)


@pytest.fixture(scope="session")
def place(
    tmp_path_factory: pytest.TempPathFactory, video: Path, speech: Callable[[float], Path]
) -> Iterator[Place]:
    """The service of these tests: it asks for a key."""
    folder = tmp_path_factory.mktemp("compat")
    with Neighbour().open() as neighbour:
        neighbour.files |= {"/head.mp4": video.read_bytes(), "/words.wav": speech(0.4).read_bytes()}
        neighbour.files |= {"/long.wav": speech(1.6).read_bytes(), "/much.wav": speech(60).read_bytes()}
        settings = {"COMPAT": "replicate,fal,sync,duix", "FETCH": f"127.0.0.1:{neighbour.port}"}
        with running(folder, API_KEYS=KEY, **settings) as server:
            server.client.headers["Authorization"] = f"Bearer {KEY}"
            yield Place(server, neighbour, folder)
