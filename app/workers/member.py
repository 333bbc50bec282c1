"""One worker as its pool sees it: idle, busy, loading, or unusable."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from app.errors import Problem
from app.jobs.pool import Answer, Call, CallFailed, Told, WorkerDied, WorkerLeft
from app.workers.messages import Message

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
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
"""The silence of a worker is counted in steps of this, not by the clock: where the service stands still, as
by ``docker pause``, its workers do, too."""


async def patiently(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return what comes of some work. Raises ``TimeoutError`` if that takes longer, counted in steps."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done() and seconds > 0:
            seconds -= (step := min(seconds, STEP_SECONDS))
            await asyncio.wait({task}, timeout=step)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


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
    """The state of one worker. Who runs it has it :meth:`hear` what its process says, and of its end."""

    def __init__(self, name: str, tell: Callable[[Message], None], end: Callable[[], None]) -> None:
        """``tell`` gives a message to the process, ``end`` kills it."""
        self.name = name
        self.tell = tell
        self.model: Mapping[str, Any] | None = None
        """What it has loaded; None as long as that, or its process, is not there."""
        self.problem: Problem | None = None
        self.job = ""
        """The job that it worked on last."""
        self.call: Call | None = None
        self.failures = 0
        """How many of its processes have died in a row; for the pool that starts them."""
        self.leaving = False
        """Whether it takes no call any more."""
        self._end = end
        self._told: Told | None = None
        self._silent = 0.0
        """Seconds since the last sign of its call."""
        self._last: asyncio.Future[Message] | None = None
        """What its process says last of its call."""

    @property
    def ready(self) -> bool:
        """Whether its model is loaded and it may take calls."""
        return self.model is not None and not self.leaving

    @property
    def idle(self) -> bool:
        """Whether it waits for a call."""
        return self.ready and self.call is None

    def take(self, call: Call, told: Told) -> None:
        """Give it a call."""
        self.call, self.job, self._told = call, call.job_id, told
        self._last, self._silent = asyncio.get_running_loop().create_future(), 0.0
        self.tell({"call": vars(call)})

    def hear(self, message: Message) -> None:
        """Take a message of its call, or that its process is gone."""
        if "told" in message:
            self._silent = 0.0
            if self._told is not None:
                self._told(*message["told"])
        elif self._last and not self._last.done():  # an answer stays one, though the process ended with it
            self._last.set_result(message)
        if "gone" in message:
            self.model = None

    async def answer(self, patience: Patience) -> Answer:
        """Wait for the end of its call; see ``Pool.call``."""
        last, call = self._last, self.call
        assert last is not None, "it was given a call"
        assert call is not None
        stall = patience.stall * (patience.joins if call.method == "finish" else 1)
        try:
            while not last.done() and (left := stall - self._silent) > 0:
                self._silent += (step := min(left, STEP_SECONDS))
                await asyncio.wait({last}, timeout=step)
            if not last.done():
                self._give_up({"gone": "stalled and was stopped", "stalled": True})
        except asyncio.CancelledError:
            self._told = None
            self.tell({"stop": True})
            await asyncio.wait({last}, timeout=patience.stop)
            if not last.done():
                self._give_up({"gone": "did not stop when it was told to", "left": True})
            raise
        finally:
            self.call = self._told = None
        return _result(last.result())

    def _give_up(self, gone: Message) -> None:
        self.hear(gone)
        self._end()


def _result(message: Message) -> Answer:
    """Return an answer; raises what a message says instead, see ``Pool.call``."""
    if "failed" in message:
        raise CallFailed(message["failed"])
    if "stopped" in message or message.get("left"):
        raise WorkerLeft(message.get("gone", "stopped"))
    if "answer" not in message:
        raise WorkerDied(message.get("gone") or message["died"], stalled=message.get("stalled", False))
    answer: Answer = message["answer"]
    return answer
