"""A pool that pretends: its calls are answered when a test says so, in the order in which it says so."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from app.jobs.pool import Answer, Call, CallFailed, Told, WorkerDied, WorkerLeft
from app.rendering.timeline import split_segments

FPS = 25


def frames_of(seconds: float) -> list[int]:
    """Return the frames of the segments of a render of so many seconds."""
    return [segment.frame_count for segment in split_segments(round(seconds * FPS), Fraction(FPS))]


@dataclass(eq=False)
class Pretended:
    """A call that a pretended worker is busy with."""

    call: Call
    told: Told
    answer: asyncio.Future[Answer]
    gave_way: bool = False
    leaving: bool = False


class PretendingPool:
    """Some workers without a process. Jobs say in ``params`` how many ``seconds`` they have."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self.model: Mapping[str, Any] | None = {"name": "pretended"}
        self.restarts = 0
        self.status = ""
        self.unusable = False
        self.running: list[Pretended] = []
        self.history: list[Call] = []
        self.there: dict[str, set[int]] = {}
        """The segments of each job that are on the volume, so to speak."""
        self._changed: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self.workers

    @property
    def idle(self) -> int:
        """How many have nothing to do."""
        return max(0, self.workers - sum(not each.leaving for each in self.running))

    def call(self, call: Call, told: Told) -> Coroutine[Any, Any, Answer]:
        """Take a call; it runs until the test ends it."""
        if not self.idle:
            raise LookupError("no worker is idle")
        pretended = Pretended(call, told, asyncio.get_running_loop().create_future())
        self.running.append(pretended)
        self.history.append(call)
        return self._wait(pretended)

    async def _wait(self, pretended: Pretended) -> Answer:
        try:
            return await pretended.answer
        finally:
            self.running.remove(pretended)
            self._changed()

    def give_way(self, call: Call) -> None:
        """Note that a call was asked to answer at the end of its segment."""
        for pretended in self.running:
            if pretended.call is call:
                pretended.gave_way = True

    def wish(self, workers: int) -> None:
        """Stay as it is."""

    async def start(self, changed: Callable[[], None]) -> None:
        """Begin."""
        self._changed = changed

    async def stop(self) -> None:
        """Have all calls end as those of a service that is stopped."""
        for pretended in self.running:
            if not pretended.answer.done():
                pretended.answer.set_exception(WorkerLeft("stopped"))

    def grow(self, workers: int) -> None:
        """Have another number of workers."""
        self.workers = workers
        self._changed()

    def find(self, job_id: str) -> Pretended:
        """Return the one call of a job that runs."""
        (found,) = [each for each in self.running if each.call.job_id == job_id]
        return found

    def finish(self, pretended: Pretended, segments: int | None = None) -> None:
        """Answer a call, after so many of its segments if it is to encode."""
        call = pretended.call
        if not pretended.answer.done():
            pretended.answer.set_result(self._answer(call, call.segments[:segments]))

    def die(self, pretended: Pretended, *, stalled: bool = False) -> None:
        """Have the worker of a call die."""
        if not pretended.answer.done():
            pretended.answer.set_exception(WorkerDied("was ended by SIGSEGV", stalled=stalled))

    def leave(self, pretended: Pretended) -> None:
        """Have the worker of a call give it back."""
        if not pretended.answer.done():
            pretended.answer.set_exception(WorkerLeft("drained"))

    def drain(self, pretended: Pretended) -> None:
        """Have the worker of a call take no other one."""
        pretended.leaving = True
        self.grow(self.workers - 1)

    def refuse(self, pretended: Pretended, error: Any) -> None:
        """Answer a call with a problem."""
        if not pretended.answer.done():
            pretended.answer.set_exception(CallFailed(error.problem()))

    def _answer(self, call: Call, segments: Sequence[int]) -> Answer:
        there = self.there.setdefault(call.job_id, set())
        seconds = call.params.get("seconds", 3.0)
        frames = frames_of(seconds)
        match call.method:
            case "prepare":
                return {"frames": frames, "there": sorted(there), "media_seconds": seconds}
            case "encode":
                there.update(segments)
                return {"segments": list(segments), "frames_made": sum(frames[i] for i in segments)}
            case "finish":
                assert there == set(range(len(frames))), "joined before all segments were there"
                return {}
        return {"frames_made": 10, "media_seconds": seconds}
