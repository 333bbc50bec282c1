"""Talks to Ray for the service, in a process of its own: ``python -m app.workers.ray_driver``.

Ray kills the process of a driver whose cluster is lost, retries for minutes if it is refused, and takes
over memory and signals. None of that may happen to the web process. Standard input and output carry
messages, each with the name of its ``worker``; when the input closes, this process ends, and the cluster
ends the workers.
"""

import asyncio
import logging
import os
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import ray
import structlog
from ray._private.state import state
from ray.exceptions import RayError

from app.settings import Settings
from app.workers.child import Tell, begin, listen
from app.workers.member import NEVER_READY, Timeouts, Watchdog
from app.workers.messages import Message
from app.workers.ray_worker import RayWorker

log = structlog.stdlib.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often the cluster's machines are counted."""
LOST_SECONDS: Final = 8.0
"""A cluster that does not answer for this long is lost."""
AGAIN_SECONDS: Final = 15.0
"""How long the place of a worker that could not load its model, or died over it, is left as it is."""
LINGER_SECONDS: Final = 120.0
"""How long an autoscaled worker without work is kept."""
MOST_WAITING: Final = 16
"""How many workers may wait for a device that the autoscaler is to add."""


@dataclass
class Place:
    """A device of the cluster: what has it or waits for it, and for a while what had it, if that failed."""

    actor: Any
    machine: str = ""
    """Where its worker is, once that has loaded its model, unless the service has refused it."""
    busy: bool = False
    """Whether it has a call."""
    leaving: bool = False
    """Whether it was told to end its call since its machine leaves."""
    free: bool = False
    """Whether its actor is dead that had no call yet: its device is left to whoever waits for one."""

    def tell(self, message: Message) -> None:
        """Tell the actor something, in a thread of its own that keeps the order, while another hears."""
        self.actor.tell.options(concurrency_group="telling").remote(message)


class Driver:
    """Keeps one actor on each device of the cluster, and passes messages between them and the service."""

    def __init__(self, settings: Settings, start: Message, tell: Tell, actor: type[RayWorker]) -> None:
        """``start`` is what each worker is told first, besides its name and device."""
        # Ray does not start it again: whether it has a place anywhere is counted anew.
        options: Any = {"max_restarts": 0, "max_task_retries": 0, "concurrency_groups": {"telling": 1}}
        self._actor: Any = ray.remote(**options)(actor)
        self._settings = settings
        self._start = start
        self._tell = tell
        self._places: dict[str, Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._wished = 1
        self._wishes = {1: inf}
        """Until when each number of workers that was wished for is kept."""

    async def run(self) -> None:
        """Keep the actors there until the cluster is lost."""
        while True:
            device, slots, leaving = await self._look()
            self._tell({"alive": True})
            self._drain(leaving)
            if self._settings.ray_autoscaling:
                slots = self._wanted(slots)
            for name in surplus(self._places, self._ready(), slots):
                self._let_go(name, LEFT)
            while len(self._places) < slots:
                self._add(device)
            await asyncio.sleep(LOOK_SECONDS)

    def hear(self, message: Message) -> None:
        """Take a message of the service."""
        if "wish" in message:
            self._wishes[self._wished] = time.monotonic() + LINGER_SECONDS
            self._wished = max(1, message["wish"])
            self._wishes[self._wished] = inf
        elif place := self._places.get(message["worker"]):  # else it was told that this worker is gone
            if "end" in message:
                if message["end"] == "refused":
                    place.machine = ""
                ray.kill(place.actor)
                return
            place.busy |= "call" in message
            place.tell(message)

    def _wanted(self, slots: int) -> int:
        """Return how many workers there are to be, and let go of those that are not needed.

        For workers that wait for a device, the autoscaler adds machines. None may wait while a device is left
        alone: it would get that one.
        """
        wished = max(number for number, until in self._wishes.items() if until > time.monotonic())
        ready = self._ready()
        spare = max(0, len(ready) - wished)
        for name in [name for name in ready if not self._places[name].busy][:spare]:
            self._let_go(name, "is not needed")
        free = any(place.free for place in self._places.values())
        return min(wished, slots if free else slots + MOST_WAITING)

    def _drain(self, leaving: Collection[str]) -> None:
        """Let go of the workers of machines that are to leave, of those that are busy after their segment."""
        for name in self._ready():
            place = self._places[name]
            if place.machine not in leaving:
                continue
            if not place.busy:
                self._let_go(name, LEFT)
            elif not place.leaving:
                place.leaving = True
                self._tell({"worker": name, "leaving": True})
                place.tell({"give_way": True})

    def _ready(self) -> list[str]:
        return [name for name, place in self._places.items() if place.machine]

    def _let_go(self, name: str, how: str) -> None:
        self._tell({"worker": name, "gone": True, "left": how})
        ray.kill(self._places.pop(name).actor)

    def _add(self, device: str) -> None:
        name = f"worker-{os.getpid()}-{self._count}"
        self._count += 1
        start = dict(self._start) | {"name": name, "device": device}
        resource = {"num_gpus": 1} if device == "cuda" else {"num_cpus": 1}
        self._places[name] = place = Place(self._actor.options(**resource).remote(start))
        task = asyncio.ensure_future(self._see(name, place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see(self, name: str, place: Place) -> None:
        """See an actor from its start to its end, and to when another one may have its place."""
        how = ""
        try:
            machine = await place.actor.machine.remote()  # it may wait for a device for as long as that takes
            async with asyncio.timeout(Timeouts.start) as limit:
                while not how:
                    how = await self._hear(name, place, machine)
                    limit.reschedule(None)
        except TimeoutError:
            how = NEVER_READY
        except RayError as error:
            # Where the head has gone, its workers end with it: no fault of their jobs.
            how = LEFT if await self._is_lost() else _describe(error)
            place.free = not place.machine and how not in (LEFT, LOST)
        finally:
            if name in self._places:  # else it was let go
                # Whatever it died of as it loaded, the next one would as well.
                pause = 0.0 if place.machine or how in (LEFT, LOST) else AGAIN_SECONDS
                end = "left" if how == LEFT else "died"
                self._tell({"worker": name, "gone": True, end: how, "pause": pause})
                if pause:
                    await asyncio.sleep(pause)
            # Only now: if it is still there, it has kept its device from those that wait.
            ray.kill(place.actor)
            self._places.pop(name, None)

    async def _look(self) -> tuple[str, int, Collection[str]]:
        """See :func:`_look`. Raises what that raises, and ``TimeoutError``, if the cluster is lost."""
        return await Watchdog(LOST_SECONDS).until(asyncio.to_thread(_look, self._settings.device))

    async def _is_lost(self) -> bool:
        with suppress(Exception):  # Ray raises what its many parts raise
            await self._look()
            return False
        return True

    async def _hear(self, name: str, place: Place, machine: str) -> str:
        """Pass on what an actor says until its worker has answered; return how it ended, if it has."""
        async for item in place.actor.hear.options(num_returns="streaming").remote():
            message = await item
            if self._places.get(name) is not place:  # let go meanwhile: the service knows that it is gone
                return LEFT
            if "gone" in message:
                return str(message["died"])
            if "ready" in message:
                place.machine = machine
            if "told" not in message:
                place.busy = False
            self._tell(dict(message) | {"worker": name})
        return ""


LEFT: Final = "left with its machine"
LOST: Final = "was lost with its machine"


def _describe(error: RayError) -> str:
    """Return how an actor ended, in few words."""
    text = str(error)
    if "expectedly" in text.replace("unexpectedly", ""):
        return LEFT
    return LOST if "node" in text and "died" in text else "ended unexpectedly"


def surplus(actors: Collection[str], ready: Collection[str], slots: int) -> list[str]:
    """Return which actors wait for a device in vain, the newest: as many as there are more than devices."""
    loading = [name for name in actors if name not in ready]
    return loading[::-1][: max(0, len(actors) - slots)]


def _look(device: str) -> tuple[str, int, Collection[str]]:
    """Return on which devices workers work, how many the machines have, and which of these leave.

    Raises ``ConnectionError`` if the cluster is not the one that was joined: a head that was started again
    knows nothing of this machine.
    """
    leaving, here = state.get_draining_nodes(), ray.get_runtime_context().get_node_id()
    alive = [node for node in ray.nodes() if node["Alive"]]
    if here not in {node["NodeID"] for node in alive}:
        raise ConnectionError("the head was started again")
    nodes = [node for node in alive if node["NodeID"] not in leaving]
    gpus, cpus = (sum(int(node["Resources"].get(kind, 0)) for node in nodes) for kind in ("GPU", "CPU"))
    on_gpus = device.startswith("cuda") or (device == "auto" and gpus)
    return ("cuda", gpus, leaving) if on_gpus else ("cpu", cpus, leaving)


def main(actor: type[RayWorker] = RayWorker) -> None:
    """Connect, and keep the workers there until the service or the cluster is gone."""
    tell, start, settings = begin()
    assert settings.ray_address is not None
    try:
        ray.init(
            settings.ray_address,
            log_to_driver=settings.log_level == "debug",
            logging_level=logging.ERROR,
            namespace="mouthpiece",
        )
    except Exception as error:  # Ray raises what its many parts raise
        tell({"refused": str(error).strip().splitlines()[-1][:300]})
        os._exit(1)
    tell({"connected": True})
    asyncio.run(_serve(Driver(settings, start, tell, actor)))


async def _serve(driver: Driver) -> None:
    loop = asyncio.get_running_loop()
    listen(lambda message: loop.call_soon_threadsafe(driver.hear, message))
    try:
        await driver.run()
    except Exception as error:
        log.error("cluster_lost", error=str(error)[:300])
        os._exit(1)


if __name__ == "__main__":
    main()
