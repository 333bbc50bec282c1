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
from collections import deque
from collections.abc import Collection, Coroutine
from typing import Any, Final

import ray
import structlog
from ray._private.state import state
from ray.exceptions import RayError

from app.settings import Settings
from app.workers.child import Tell, begin, listen
from app.workers.member import NEVER_READY, Patience, patiently
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


class Driver:
    """Keeps one actor on each device of the cluster, and passes messages between them and the service."""

    def __init__(self, settings: Settings, start: Message, tell: Tell, actor: type[RayWorker]) -> None:
        """``start`` is what each worker is told first, besides its name and device."""
        self._actor: Any = ray.remote(actor)
        self._settings = settings
        self._start = start
        self._tell = tell
        self._actors: dict[str, Any] = {}
        self._ready: dict[str, str] = {}
        """The machine of each worker whose model is loaded."""
        self._freed: set[str] = set()
        """Workers whose actor died as they loaded: their devices are free, and are left alone for a while."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._busy: set[str] = set()
        self._wishes: deque[tuple[float, int]] = deque(maxlen=1000)

    async def run(self) -> None:
        """Keep the actors there until the cluster is lost."""
        while True:
            kind, slots, leaving = await self._look()
            self._tell({"alive": True})
            self._drain(leaving)
            if self._settings.ray_autoscaling:
                slots = self._wanted(slots)
            for name in surplus(self._actors, self._ready, slots):
                self._let_go(name, LEFT)
            while len(self._actors) < slots:
                self._add(kind)
            await asyncio.sleep(LOOK_SECONDS)

    def hear(self, message: Message) -> None:
        """Take a message of the service."""
        if "wish" in message:
            self._wishes.append((time.monotonic(), message["wish"]))
            return
        name = message["worker"]
        if (actor := self._actors.get(name)) is None:
            self._tell({"worker": name, "gone": "is gone"})
        elif "end" in message:
            ray.kill(actor)
        else:
            if "call" in message:
                self._busy.add(name)
            actor.tell.remote(message)

    def _wanted(self, slots: int) -> int:
        """Return how many workers there are to be, and let go of those that are not needed.

        For workers that wait for a device, the autoscaler adds machines. None may wait while a device is left
        alone: it would get that one.
        """
        wished = max(1, most(self._wishes, time.monotonic()))
        spare = max(0, len(self._ready) - wished)
        for name in sorted(self._ready.keys() - self._busy)[:spare]:
            self._let_go(name, "is not needed")
        return min(wished, slots if self._freed else slots + MOST_WAITING)

    def _drain(self, leaving: Collection[str]) -> None:
        """Let go of the workers of machines that are to leave, of those that are busy after their segment."""
        for name in [name for name, machine in self._ready.items() if machine in leaving]:
            if name in self._busy:
                self._tell({"worker": name, "leaving": True})
                self._actors[name].tell.remote({"give_way": True})
            else:
                self._let_go(name, LEFT)

    def _let_go(self, name: str, how: str) -> None:
        self._tell({"worker": name, "gone": how, "left": True})
        self._ready.pop(name, None)
        ray.kill(self._actors.pop(name))

    def _add(self, kind: str) -> None:
        name = f"worker-{os.getpid()}-{self._count}"
        self._count += 1
        device, resource = ("cuda", "num_gpus") if kind == "GPU" else ("cpu", "num_cpus")
        start = dict(self._start) | {"name": name, "device": device}
        # Ray does not start it again: whether it has a place anywhere is counted anew.
        options = {resource: 1, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 2}
        self._actors[name] = actor = self._actor.options(**options).remote(start)
        self._spawn(self._see(name, actor))

    async def _see(self, name: str, actor: Any) -> None:
        """See an actor from its start to its end, and to when another one may have its place."""
        how = ""
        try:
            machine = await actor.machine.remote()  # it may wait for a device for as long as that takes
            async with asyncio.timeout(Patience.start) as patience:
                while not how:
                    how = await self._hear(name, actor, machine)
                    patience.reschedule(None)
        except TimeoutError:
            how = NEVER_READY
        except RayError as error:
            # Where the head has gone, its workers end with it: no fault of their jobs.
            how = LEFT if await self._is_lost() else _describe(error)
            if name not in self._ready and how not in (LEFT, LOST):
                self._freed.add(name)
        finally:
            if name in self._actors:  # else it was let go
                # Whatever it died of as it loaded, the next one would as well.
                pause = 0.0 if name in self._ready or how in (LEFT, LOST) else AGAIN_SECONDS
                self._tell({"worker": name, "gone": how, "left": how == LEFT, "pause": pause})
                if pause:
                    await asyncio.sleep(pause)
            ray.kill(actor)  # only now: if it is still there, it has kept its device from those that wait
            self._actors.pop(name, None)
            self._ready.pop(name, None)
            self._busy.discard(name)
            self._freed.discard(name)

    async def _look(self) -> tuple[str, int, Collection[str]]:
        """See :func:`_look`. Raises what that raises, and ``TimeoutError``, if the cluster is lost."""
        return await patiently(asyncio.to_thread(_look, self._settings.device), LOST_SECONDS)

    async def _is_lost(self) -> bool:
        try:
            await self._look()
        except Exception:  # Ray raises what its many parts raise
            return True
        return False

    async def _hear(self, name: str, actor: Any, machine: str) -> str:
        """Pass on what an actor says until its worker has answered; return how it ended, if it has."""
        async for item in actor.hear.options(num_returns="streaming").remote():
            message = await item
            if "gone" in message:
                gone: str = message["gone"]
                return gone
            if "ready" in message:
                self._ready[name] = machine
            if "told" not in message:
                self._busy.discard(name)
            self._tell(dict(message) | {"worker": name})
        return ""

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


LEFT: Final = "left with its machine"
LOST: Final = "was lost with its machine"


def _describe(error: RayError) -> str:
    """Return how an actor ended, in few words."""
    text = str(error)
    if "expectedly" in text.replace("unexpectedly", ""):
        return LEFT
    return LOST if "node" in text and "died" in text else "ended unexpectedly"


def most(wishes: deque[tuple[float, int]], now: float) -> int:
    """Return the most workers that were wished for of late, and forget older wishes.

    A wish, (instant, workers), holds until the next one, and lingers after that.
    """
    while len(wishes) > 1 and now - wishes[1][0] >= LINGER_SECONDS:
        wishes.popleft()
    return max((workers for _, workers in wishes), default=0)


def surplus(actors: Collection[str], ready: Collection[str], slots: int) -> list[str]:
    """Return which actors wait for a device in vain, the newest: as many as there are more than devices."""
    loading = [name for name in actors if name not in ready]
    return loading[::-1][: max(0, len(actors) - slots)]


def _look(device: str) -> tuple[str, int, Collection[str]]:
    """Return which resource a worker takes, how many of it the machines have, and which of them leave.

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
    return ("GPU", gpus, leaving) if on_gpus else ("CPU", cpus, leaving)


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
