from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import clips
from tests.support.neighbour import Neighbour
from tests.support.server import Server, running
from tests.support.speaking import speaking


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service of most tests. Its queue is short, and its largest upload small, to reach both quickly."""
    settings = {"MAX_QUEUED": "20", "MAX_UPLOAD_BYTES": "3000000", "MAX_VIDEO_SECONDS": "20"}
    with running(tmp_path_factory.mktemp("service"), **settings) as server:
        yield server


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a talking head, 320x240."""
    return clips.talking_head(tmp_path_factory.mktemp("clips") / "head.mp4", 1.0)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Sound files by their length in seconds."""
    folder = tmp_path_factory.mktemp("speech")
    return lambda seconds: clips.speech(folder / f"{seconds}.wav", seconds)


@pytest.fixture(scope="session")
def anna(server: Server, video: Path) -> str:
    """The address of an avatar's renders."""
    with video.open("rb") as file:
        response = server.client.post("/v1/avatars", data={"id": "anna"}, files={"video": file})
    assert response.status_code == 201, response.text
    return "/v1/avatars/anna/renders"


@pytest.fixture(scope="session")
def neighbour() -> Iterator[Neighbour]:
    """A file server from which one service may fetch."""
    with Neighbour().open() as neighbour:
        yield neighbour


@pytest.fixture(scope="session")
def outward(tmp_path_factory: pytest.TempPathFactory, neighbour: Neighbour) -> Iterator[Server]:
    """A service with no small limits that takes texts, and fetches from its neighbour."""
    fetch = f"127.0.0.1:9000,127.0.0.1:{neighbour.port}"
    with (
        speaking() as speaker,
        running(tmp_path_factory.mktemp("outward"), TTS_URL=speaker.url, FETCH=fetch) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def talking(outward: Server, video: Path) -> Server:
    """The same service with one avatar, anna, of its module's own."""
    outward.client.delete("/v1/avatars/anna")
    files = {"video": video.read_bytes()}
    outward.client.post("/v1/avatars", data={"id": "anna"}, files=files).raise_for_status()
    return outward
