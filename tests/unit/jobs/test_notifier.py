import asyncio

import pytest

from app.jobs.notifier import AT_ONCE, Notifier
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Watched:
    """Something that changes, and many who look at it whenever they are told."""

    def __init__(self, size: int) -> None:
        self.notifier = Notifier()
        self.value = 0
        self.seen: list[list[int]] = [[0] for _ in range(size)]
        self.tasks = [asyncio.create_task(self._look(seen)) for seen in self.seen]

    async def _look(self, seen: list[int]) -> None:
        while True:
            await self.notifier.wait()
            seen.append(self.value)

    def change(self) -> None:
        self.value += 1
        self.notifier.notify()

    def count(self, value: int) -> int:
        return sum(value in seen for seen in self.seen)

    async def until_all_saw(self, value: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.count(value) < len(self.seen):  # noqa: ASYNC110 - no events
                await asyncio.sleep(0.001)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_crowd_is_woken_a_few_at_a_time_and_all_see_the_newest() -> None:
    watched = Watched(5 * AT_ONCE)
    await turns()
    watched.change()
    await turns()
    assert AT_ONCE <= watched.count(1) < 5 * AT_ONCE
    watched.change()
    await watched.until_all_saw(2)
    assert watched.count(1) < len(watched.seen)  # who was not woken in time saw only the newest
    assert all(seen == sorted(set(seen)) for seen in watched.seen)  # and nobody anything twice
    await watched.end()


async def test_one_alone_is_woken_at_once_beside_the_crowd_of_another() -> None:
    many, one = Watched(5 * AT_ONCE), Watched(1)
    await turns()
    many.change()
    one.change()
    await turns()
    assert one.seen == [[0, 1]]
    await many.end()
    await one.end()


async def test_who_leaves_holds_nobody_up() -> None:
    watched = Watched(5 * AT_ONCE)
    await turns()
    watched.change()
    for task in watched.tasks[: 4 * AT_ONCE]:
        task.cancel()
    del watched.seen[: 4 * AT_ONCE]
    await watched.until_all_saw(1)
    await watched.end()


async def test_who_left_before_a_change_is_not_waited_for() -> None:
    notifier = Notifier()
    tasks = [asyncio.create_task(notifier.wait()) for _ in range(5 * AT_ONCE + 1)]
    await turns()
    for task in tasks[:-1]:
        task.cancel()
    await turns()
    notifier.notify()
    await turns()
    assert tasks[-1].done()
