import asyncio
from itertools import pairwise

import pytest
from starlette.types import Receive, Scope, Send

from app.api.admission import AdmissionQueue

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Service:
    """An application behind a turnstile, and which requests it has begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._app = AdmissionQueue(self._begin)

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["path"])

    def ask(self, path: str) -> asyncio.Task[None]:
        async def nothing(*_: object) -> None:
            pytest.fail("never called")

        return asyncio.create_task(self._app({"type": "http", "path": path}, nothing, nothing))  # type: ignore[arg-type]


async def test_of_a_crowd_one_request_begins_in_a_turn_of_the_loop() -> None:
    service = Service()
    crowd = [service.ask(f"/{number}") for number in range(50)]
    counts = []
    while not all(task.done() for task in crowd):
        await asyncio.sleep(0)
        counts.append(len(service.begun))
    assert service.begun == [f"/{number}" for number in range(50)]
    assert max(after - before for before, after in pairwise(counts)) == 1


async def test_a_health_check_does_not_wait_its_turn() -> None:
    service = Service()
    crowd = [service.ask(f"/{number}") for number in range(50)]
    probe = service.ask("/livez")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert probe.done()
    assert len(service.begun) < 10
    await asyncio.gather(*crowd)


async def test_who_gives_up_holds_nobody_up() -> None:
    service = Service()
    crowd = [service.ask(f"/{number}") for number in range(5)]
    await asyncio.sleep(0)
    for task in crowd[1:4]:
        task.cancel()
    await asyncio.wait(crowd)
    assert service.begun == ["/0", "/4"]
    await service.ask("/next")
    assert service.begun[-1] == "/next"
