"""One worker as its pool sees it: idle, busy, loading, or unusable."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.errors import Problem
from app.jobs.pool import Answer, Call, CallFailed, Told, WorkerDied, WorkerLeft
from app.workers.messages import Message


@dataclass(frozen=True)
class Patience:
    """How long a pool waits for its workers, seconds."""

    stall: float = 60.0
    """A worker whose call makes no progress for this long is ended."""
    start: float = 900.0
    """A worker that is not ready after this long is ended: a checkpoint may have to be converted first."""
    stop: float = 3.0
    """A worker that was told to stop its call is ended after this long."""
    longest_delay: float = 30.0
    """Longest wait before a worker that keeps dying, or cannot load its model, is started again."""

    def delay(self, failures: int) -> float:
        """Return how long to wait after so many deaths in a row: not at all at first, then ever longer."""
        return 0.0 if failures < 2 else min(self.longest_delay, 0.5 * 2 ** min(failures - 2, 10))


NEVER_READY: Final = "did not become ready in time, and was ended"
"""How a worker ended whose model took too long to load."""

_MODEL: Final = ("sha256", "encoder", "mouth_offset_ms", "reference")
"""What must be the same with all workers, for they make segments of one video."""


def difference(model: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in which of these two workers' models differ, in words; empty if they may work together."""
    return ", ".join(
        f"{key} {str(model.get(key))[:16]} instead of {str(other.get(key))[:16]}"
        for key in _MODEL
        if model.get(key) != other.get(key)
    )


class Member:
    """The state of one worker. Who runs it feeds it messages, and sends what it wants sent."""

    def __init__(self, name: str, send: Callable[[Message], None], end: Callable[[], None]) -> None:
        """``send`` gives a message to the process, ``end`` kills it."""
        self.name = name
        self.model: Mapping[str, Any] | None = None
        self.problem: Problem | None = None
        self.job = ""
        """The job that it worked on last."""
        self.call: Call | None = None
        self.leaving = False
        """Whether it takes no call any more."""
        self._send = send
        self._end = end
        self._told: Told = lambda _done, _total: None
        self._heard = asyncio.Event()
        self._last: Message | None = None
        self._death: Exception | None = None

    @property
    def ready(self) -> bool:
        """Whether its model is loaded and its process there."""
        return self.model is not None and self._death is None and not self.leaving

    @property
    def idle(self) -> bool:
        """Whether it waits for a call."""
        return self.ready and self.call is None

    def take(self, call: Call, told: Told) -> None:
        """Give it a call."""
        self.call, self.job, self._told, self._last = call, call.order.job_id, told, None
        self._heard.clear()

    def hear(self, message: Message) -> None:
        """Take a message of its call."""
        if self.call is None:
            return
        if "told" in message:
            self._told(*message["told"])
        else:
            self._last = message
        self._heard.set()

    def die(self, how: Exception) -> None:
        """Note that its process is gone."""
        self._death = self._death or how
        self._heard.set()

    async def answer(self, patience: Patience) -> Answer:
        """Wait for the end of its call; see ``Pool.call``."""
        try:
            while self._last is None:
                if self._death is not None:
                    raise self._death
                self._heard.clear()
                async with asyncio.timeout(patience.stall):
                    await self._heard.wait()
        except TimeoutError:
            self.die(WorkerDied("stalled and was stopped", stalled=True))
            self._end()
            raise self._death or WorkerLeft from None
        except asyncio.CancelledError:
            await self._stop(patience.stop)
            raise
        finally:
            self.call, self._told = None, lambda _done, _total: None
        return _result(self._last)

    async def _stop(self, seconds: float) -> None:
        """Have its call stopped, by force where it does not hear."""
        self._send({"stop": True})
        self._told = lambda _done, _total: None
        try:
            async with asyncio.timeout(seconds):
                while self._last is None and self._death is None:
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            self.die(WorkerLeft("did not stop when it was told to"))
            self._end()


def _result(message: Message) -> Answer:
    if "failed" in message:
        raise CallFailed(message["failed"])
    if "died" in message:
        raise WorkerDied(message["died"])
    if "stopped" in message:
        raise WorkerLeft("stopped")
    answer: Answer = message["answer"]
    return answer
