"""One worker as its pool sees it once its model is loaded: idle, busy, or leaving."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from app.jobs.pool import Answer, Call, CallFailed, Told, WorkerDied, WorkerLeft
from app.workers.messages import Message

T = TypeVar("T")


@dataclass(frozen=True)
class Timeouts:
    """How long a pool waits for its workers, seconds."""

    stall: float = 60.0
    """A worker whose call makes no progress for this long is ended."""
    joins: float = 10.0
    """How many times as long while it joins a result: that is copied to put its index in front, and brought
    to the disk, without a sign. An hour of ProRes, 30 GB, takes 10 minutes at 100 MB/s each way."""
    start: float = 900.0
    """A worker that is not ready after this long is ended: a checkpoint may have to be converted first."""
    stop: float = 3.0
    """A worker that was told to stop its call is ended after this long."""
    longest_delay: float = 30.0
    """Longest wait before a worker that keeps dying, or cannot load its model, is started again."""

    def delay(self, failures: int) -> float:
        """Return how long to wait after so many deaths in a row: not at all at first, then ever longer."""
        return 0.0 if failures < 2 else min(self.longest_delay, 0.5 * 2 ** min(failures - 2, 10))


STEP_SECONDS: Final = 1.0
"""Silence is counted in steps of this, not by the clock: where the service stands still, as by ``docker
pause``, its workers do, too."""


class Watchdog:
    """Ends the wait for something that says nothing for too long."""

    def __init__(self, seconds: float) -> None:
        """It may be silent for so many seconds in all, until a :meth:`reset`."""
        self._left = self._longest = seconds

    def reset(self) -> None:
        """Count from the beginning: there was a sign."""
        self._left = self._longest

    async def until(self, work: Awaitable[T]) -> T:
        """Return what comes of some work; without it or a sign for so long, raise ``TimeoutError``."""
        future = asyncio.ensure_future(work)
        try:
            while not future.done() and self._left > 0:
                self._left -= (step := min(self._left, STEP_SECONDS))
                await asyncio.wait({future}, timeout=step)
            if not future.done():
                raise TimeoutError
            return future.result()
        finally:
            future.cancel()


NEVER_READY: Final = "did not become ready in time, and was ended"
"""How a worker ended whose model took too long to load."""

_MODEL: Final = ("sha256", "encoder", "mouth_offset_ms", "reference", "version")
"""What must be the same with all workers, for they make segments of one video."""


def difference(model: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in which of these two workers' models differ, in words; empty if they may work together."""
    return ", ".join(
        f"{key} {str(model.get(key))[:16]} instead of {str(other.get(key))[:16]}"
        for key in _MODEL
        if model.get(key) != other.get(key)
    )


class Member:
    """A worker that has its model loaded. Its pool has it :meth:`hear` what its process says of its call."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        """``tell`` gives a message to the process, or ends that."""
        self.tell = tell
        self.job = ""
        """The job that it worked on last."""
        self.call: Call | None = None
        self.leaving = False
        """Whether it takes no call any more."""
        self._told: Told | None = None
        self._watchdog = Watchdog(0.0)
        self._last: asyncio.Future[Message] | None = None
        """What its process says last of its call."""

    @property
    def idle(self) -> bool:
        """Whether it waits for a call."""
        return self.call is None and not self.leaving

    def take(self, call: Call, told: Told, timeouts: Timeouts) -> Coroutine[Any, Any, Answer]:
        """Give it a call, and return what waits for the end of that; see ``Pool.call``."""
        self.call, self.job, self._told = call, call.job_id, told
        self._watchdog = Watchdog(timeouts.stall * (timeouts.joins if call.method == "finish" else 1))
        self._last = asyncio.get_running_loop().create_future()
        self.tell({"call": vars(call)})
        return self._answer(self._last, timeouts.stop)

    def hear(self, message: Message) -> None:
        """Take a message of its call."""
        if "told" in message:
            self._watchdog.reset()
            if self._told is not None:
                self._told(*message["told"])
        elif "leaving" in message:
            self.leaving = True
        elif self._last and not self._last.done():  # an answer stays one, though the process ended with it
            self._last.set_result(message)

    async def _answer(self, last: asyncio.Future[Message], stop: float) -> Answer:
        try:
            return _result(await self._watchdog.until(asyncio.shield(last)))
        except TimeoutError:
            if last.done():  # it came with the end of all patience
                return _result(last.result())
            self._give_up()
            raise WorkerDied("stalled and was stopped", stalled=True) from None
        except asyncio.CancelledError:
            self._told = None
            self.tell({"stop": True})
            await asyncio.wait({last}, timeout=stop)
            if not last.done():
                self._give_up()
            raise
        finally:
            self.call = self._told = None

    def _give_up(self) -> None:
        self.leaving = True
        self.tell({"end": "given up"})


def _result(message: Message) -> Answer:
    """Return an answer; raises what a message says instead, see ``Pool.call``."""
    match message:
        case {"answer": answer}:
            result: Answer = answer
            return result
        case {"failed": problem}:
            raise CallFailed(problem)
        case {"left": how}:
            raise WorkerLeft(how)
    raise WorkerDied(message["died"], stalled=message.get("stalled", False))
