from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cluster.clients import Client
from tests.support import clips
from tests.support.backing import Backing
from tests.support.cluster import WORKER, Cluster, backing


@pytest.fixture(scope="session", name="backing")
def _backing() -> Backing:
    """RabbitMQ and PostgreSQL, or a skipped test where they are not installed."""
    return backing()


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a talking head, 320x240."""
    return clips.talking_head(tmp_path_factory.mktemp("clips") / "head.mp4", 1.0)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Sound files by their length in seconds."""
    folder = tmp_path_factory.mktemp("speech")
    return lambda seconds: clips.speech(folder / f"{seconds}.wav", seconds)


Start = Callable[..., Client]


@pytest.fixture(scope="module")
def start(backing: Backing, tmp_path_factory: pytest.TempPathFactory, video: Path) -> Iterator[Start]:
    """Start services that have an avatar, ``anna``; all are stopped at the end of the module."""

    @contextmanager
    def running(size: int, command: tuple[str, ...], settings: dict[str, str]) -> Iterator[Client]:
        every = backing.settings() | settings
        service = Cluster(tmp_path_factory.mktemp("cluster"), every, size=size, command=command)
        try:
            service.start()
            service.wait_for_workers(size)
            client = Client(service, settings.get("API_KEYS", "").split(",")[0])
            client.make_avatar("anna", video)
            yield client
        finally:
            service.stop()
            service.client.close()

    with ExitStack() as stack:

        def start(size: int = 2, command: tuple[str, ...] = WORKER, **settings: str) -> Client:
            return stack.enter_context(running(size, command, settings))

        yield start
