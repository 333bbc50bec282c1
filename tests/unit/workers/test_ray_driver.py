import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from app.settings import Settings
from app.workers.messages import Message

pytest.importorskip("ray")
from app.workers.ray_driver import AGAIN_SECONDS, LINGER_SECONDS, Driver, most, surplus
from app.workers.ray_worker import RayWorker

ACTORS = ["a", "b", "c"]


@pytest.mark.parametrize("slots", [3, 4, 9])
def test_workers_that_load_are_left_alone_while_machines_join(slots: int) -> None:
    assert surplus(ACTORS, {"a"}, slots) == []


def test_as_many_workers_are_given_up_as_devices_have_gone_and_none_that_is_ready() -> None:
    assert surplus(ACTORS, set(), 2) == ["a"]
    assert surplus(ACTORS, {"a"}, 1) == ["b", "c"]
    assert surplus(ACTORS, {"a", "b"}, 0) == ["c"]


def test_a_wish_for_workers_holds_until_the_next_and_lingers() -> None:
    wishes = deque([(0.0, 2), (10.0, 5)])
    assert most(wishes, 10 * LINGER_SECONDS) == 5
    wishes.append((10 * LINGER_SECONDS, 1))
    assert most(wishes, 11 * LINGER_SECONDS - 1) == 5
    assert most(wishes, 11 * LINGER_SECONDS) == 1
    assert most(deque(), 0.0) == 0


class Pretended:
    """An actor whose process says the same to every call, without Ray."""

    def __init__(self, *said: Message) -> None:
        self.said = said
        self.hear = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.items))

    async def items(self) -> AsyncIterator[Any]:
        for message in self.said:
            future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            future.set_result(message)
            yield future


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("loaded", [True, False])
async def test_a_worker_that_dies_before_it_is_ready_is_not_followed_by_another_at_once(
    monkeypatch: pytest.MonkeyPatch, loaded: bool
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    driver = Driver(Settings(), {}, lambda _: None, RayWorker)
    if loaded:
        await driver._hear("a", Pretended({"ready": {}}), "machine")
    assert await driver._hear("a", Pretended({"gone": "was ended by SIGSEGV"}), "machine") == (
        "was ended by SIGSEGV"
    )
    assert slept == ([] if loaded else [AGAIN_SECONDS])
