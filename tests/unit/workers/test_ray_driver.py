import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from app.settings import Settings
from app.workers.member import NEVER_READY, Timeouts
from app.workers.messages import Message

pytest.importorskip("ray")
import ray
from ray.exceptions import RayError

from app.workers import ray_driver
from app.workers.ray_driver import (
    AGAIN_SECONDS,
    LEFT,
    LINGER_SECONDS,
    LOST,
    MOST_WAITING,
    Driver,
    Place,
    surplus,
)
from app.workers.ray_worker import RayWorker

ACTORS = ["a", "b", "c"]


@pytest.mark.parametrize("slots", [3, 4, 9])
def test_workers_that_load_are_left_alone_while_machines_join(slots: int) -> None:
    assert surplus(ACTORS, {"a"}, slots) == []


def test_as_many_workers_are_given_up_as_devices_have_gone_and_none_that_is_ready() -> None:
    assert surplus(ACTORS, set(), 2) == ["c"]
    assert surplus(ACTORS, {"a"}, 1) == ["c", "b"]
    assert surplus(ACTORS, {"a", "b"}, 0) == ["c"]


def test_a_wish_for_workers_holds_until_the_next_and_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, now = Driver(Settings(), {}, lambda _: None, RayWorker), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def wanted(seconds: float) -> int:
        now[0] = seconds
        return driver._wanted(9)

    assert wanted(0.0) == 1
    for seconds, workers in ((0.0, 2), (10.0, 5), (10 * LINGER_SECONDS, 3), (10 * LINGER_SECONDS + 50.0, 1)):
        now[0] = seconds
        driver.hear({"wish": workers})
        assert wanted(seconds) == max(workers, 5 if seconds else 0)
    assert wanted(11 * LINGER_SECONDS - 1) == 5
    assert wanted(11 * LINGER_SECONDS) == 3
    assert wanted(11 * LINGER_SECONDS + 50.0) == 1


def test_a_wish_lingers_however_many_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    driver = Driver(Settings(), {}, lambda _: None, RayWorker)
    for workers in (9, *(1, 2) * 1000):
        driver.hear({"wish": workers})
    assert driver._wanted(9) == 9


@pytest.mark.parametrize(("slots", "wished", "wanted"), [(1, 0, 1), (1, 5, 5), (2, 100, 2 + MOST_WAITING)])
def test_more_workers_than_devices_are_wanted_so_that_machines_are_added(
    slots: int, wished: int, wanted: int
) -> None:
    driver = Driver(Settings(), {}, lambda _: None, RayWorker)
    driver.hear({"wish": wished})
    assert driver._wanted(slots) == wanted


class Pretended:
    """An actor that says so much, or fails as Ray tells of one that died, without Ray."""

    def __init__(self, *said: Message | RayError) -> None:
        self._said = list(said)
        self.device: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when it has a device, or failed."""
        self.device.set_result(None)
        self.machine = SimpleNamespace(remote=self._machine)
        self.hear = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._items))

    async def _machine(self) -> str:
        await self.device
        return "machine"

    async def _items(self) -> AsyncIterator[Any]:
        if not self._said:
            await asyncio.Event().wait()
        said = self._said.pop(0)
        if isinstance(said, RayError):
            raise said
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        future.set_result(said)
        yield future


ENDED: Message = {"gone": True, "died": "was ended by SIGSEGV"}
READY: Message = {"ready": {}}
UNUSABLE: Message = {"unusable": {"detail": "There is no model."}}
DIED = RayError("The actor is dead because its worker process has died.")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What a driver tells; its cluster answers."""

    monkeypatch.setattr(ray_driver, "_look", lambda device: ("cpu", 2, []))
    monkeypatch.setattr(ray, "kill", lambda _: None)
    return []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "how", "waits"),
    [
        ([ENDED], "was ended by SIGSEGV", True),
        ([READY, ENDED], "was ended by SIGSEGV", False),
        ([UNUSABLE, ENDED], "was ended by SIGSEGV", True),
        ([DIED], "ended unexpectedly", True),
        ([READY, DIED], "ended unexpectedly", False),
        ([RayError("The actor's node has died.")], LOST, False),
    ],
)
async def test_the_place_of_a_worker_that_dies_before_it_is_ready_is_left_for_a_while(
    told: list[Message],
    monkeypatch: pytest.MonkeyPatch,
    said: list[Message | RayError],
    how: str,
    waits: bool,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert told[-1] == {"worker": "a", "gone": True, "died": how, "pause": AGAIN_SECONDS}
        assert "a" in driver._places

    monkeypatch.setattr(asyncio, "sleep", sleep)
    driver = Driver(Settings(), {}, told.append, RayWorker)
    driver._places["a"] = place = Place(Pretended(*said))
    await driver._see("a", place)
    assert slept == ([AGAIN_SECONDS] if waits else [])
    assert not driver._places
    assert told[-1] == {"worker": "a", "gone": True, "died": how, "pause": AGAIN_SECONDS if waits else 0}


@pytest.mark.anyio
async def test_the_place_of_a_worker_that_the_service_refuses_is_left_for_a_while(
    told: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(message: Message) -> None:
        told.append(message)
        if "ready" in message:
            driver.hear({"worker": "a", "end": "refused"})

    killed: list[Any] = []
    monkeypatch.setattr(ray, "kill", killed.append)
    monkeypatch.setattr(ray_driver, "AGAIN_SECONDS", 0.01)
    driver = Driver(Settings(), {}, tell, RayWorker)
    driver._places["a"] = place = Place(Pretended(READY, DIED))
    await driver._see("a", place)
    assert killed[0] is place.actor
    assert told[-1] == {"worker": "a", "gone": True, "died": "ended unexpectedly", "pause": 0.01}


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "dead"), [(ENDED, False), (DIED, True)])
async def test_no_worker_that_waits_gets_a_device_that_is_left_alone(
    told: list[Message], monkeypatch: pytest.MonkeyPatch, said: Message | RayError, dead: bool
) -> None:
    """An actor that is still there keeps its device; for that of a dead one, none may wait."""
    killed: list[Any] = []
    wanted: list[int] = []

    async def sleep(_: float) -> None:
        assert not killed
        wanted.append(driver._wanted(2))

    monkeypatch.setattr(ray, "kill", killed.append)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    driver = Driver(Settings(), {}, told.append, RayWorker)
    driver.hear({"wish": 5})
    driver._places["a"] = place = Place(actor := Pretended(said))
    await driver._see("a", place)
    assert wanted == [2 if dead else 5]
    assert killed == [actor]
    assert driver._wanted(2) == 5


@pytest.mark.anyio
async def test_the_time_to_load_begins_when_there_is_a_device(
    told: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Timeouts, "start", 0.05)
    monkeypatch.setattr(ray_driver, "AGAIN_SECONDS", 0.01)
    driver = Driver(Settings(), {}, told.append, RayWorker)
    driver._places["a"] = place = Place(actor := Pretended())
    actor.device = asyncio.get_running_loop().create_future()
    seen = asyncio.ensure_future(driver._see("a", place))
    await asyncio.sleep(0.2)
    assert not told
    actor.device.set_result(None)
    await seen
    assert told == [{"worker": "a", "gone": True, "died": NEVER_READY, "pause": 0.01}]


@pytest.mark.anyio
async def test_a_worker_that_dies_as_it_waits_for_a_device_has_ended(
    told: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_driver, "AGAIN_SECONDS", 0.01)
    driver = Driver(Settings(), {}, told.append, RayWorker)
    driver._places["a"] = place = Place(actor := Pretended())
    actor.device = asyncio.get_running_loop().create_future()
    actor.device.set_exception(DIED)
    await driver._see("a", place)
    assert told == [{"worker": "a", "gone": True, "died": "ended unexpectedly", "pause": 0.01}]
    assert not driver._places


class FakeRay:
    """A cluster of one machine, as the head tells of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nodes = [{"NodeID": "here", "Alive": True, "Resources": {"CPU": 2.0}}]
        context = SimpleNamespace(get_node_id=lambda: "here")
        monkeypatch.setattr(ray, "nodes", lambda: self.nodes)
        monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
        monkeypatch.setattr("app.workers.ray_driver.state.get_draining_nodes", dict)


@pytest.mark.anyio
@pytest.mark.parametrize("back", [True, False])
async def test_workers_that_end_with_the_head_have_not_died_though_another_head_answers(
    monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    told, cluster = list[Message](), FakeRay(monkeypatch)
    monkeypatch.setattr(ray, "kill", lambda _: None)
    cluster.nodes = [{"NodeID": "there", "Alive": True, "Resources": {}}] if back else []
    driver = Driver(Settings(), {}, told.append, RayWorker)
    driver._places["a"] = place = Place(Pretended(READY, DIED))
    await driver._see("a", place)
    assert told[-1] == {"worker": "a", "gone": True, "left": LEFT, "pause": 0.0}
    with pytest.raises(ConnectionError, match="started again"):
        await driver.run()


@pytest.mark.anyio
async def test_a_worker_that_was_let_go_is_told_of_once_and_its_place_is_free(told: list[Message]) -> None:
    driver = Driver(Settings(), {}, told.append, RayWorker)
    driver._places["a"] = place = Place(Pretended(DIED))
    driver._let_go("a", LEFT)
    assert not driver._places
    await driver._see("a", place)
    assert told == [{"worker": "a", "gone": True, "left": LEFT}]


@pytest.mark.anyio
async def test_what_a_worker_says_once_it_was_let_go_is_not_passed_on(told: list[Message]) -> None:
    """The service has been told that it is gone, and would never be told again."""

    class LetGo(Pretended):
        async def _items(self) -> AsyncIterator[Any]:
            async for item in super()._items():
                driver._let_go("a", LEFT)
                yield item

    driver = Driver(Settings(), {}, told.append, RayWorker)
    driver._places["a"] = place = Place(LetGo(READY, DIED))
    await driver._see("a", place)
    assert told == [{"worker": "a", "gone": True, "left": LEFT}]
