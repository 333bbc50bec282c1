"""An open job: which call comes next, and what an answer means for it."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from app.errors import Problem, RenderProcessCrashed, RenderProcessStalled
from app.jobs.job import Ended, Job, JobKind, JobState, is_one_call, utc_now
from app.jobs.notifier import Notifier
from app.jobs.pool import Answer, Call, Method, WorkerDied
from app.media.timing import LEAST_SHARE_SECONDS, LONG_SECONDS
from app.notices import NoticeCode
from app.tracing import about

MOST_SHARE_SECONDS: Final = 30.0
"""The most that a worker is given at a time of a long render that several work on, seconds of video."""

_STEPS: Final[Mapping[JobKind, list[Method]]] = {
    JobKind.AVATAR: ["build_avatar"],
    JobKind.CHECK: ["check"],
    JobKind.RENDER: ["prepare", "encode", "finish"],
}


class OpenJob:
    """A job that has not ended, with what the scheduler knows of it beyond its record."""

    def __init__(self, job: Job) -> None:
        self.job = job
        """How it stands."""
        self.followers = Notifier()
        """Those who look at it when it has changed."""
        self.running: dict[Call, asyncio.Task[Any]] = {}
        """The calls that workers are busy with, and what waits for the answer of each."""
        self.verdict: tuple[JobState, Problem | None] | None = None
        """How it is to end, once that is settled; it ends when no call runs any more."""
        self.ending = False
        """Whether its end is in progress."""
        self.served = 0
        """When it was last given a turn: the number of the turn."""
        self.media_seconds = 0.0
        """Length of what is made; 0 until that is known."""
        self._steps = [*(_STEPS[JobKind.AVATAR] if is_one_call(job.params) else []), *_STEPS[job.kind]]
        """What is left to be done."""
        self._avatar_frames = 0
        self._told: Counter[Call] = Counter()
        """How many frames each call that runs has told of."""
        self._frames: list[int] = []
        self._done: dict[int, int] = {}
        self._suspects: set[int] = set()
        """The segments of calls whose process died."""
        self._beside: set[Call] = set()
        """The calls that ran at the last death that counted."""
        self._total = 0
        self._first: tuple[float, int] | None = None
        self._busy_since = 0.0
        self._busy_seconds = 0.0
        self._made = 0
        self._stages: Counter[str] = Counter()

    @property
    def begun(self) -> bool:
        """Whether it has had its first turn since the service started."""
        return self.job.state is JobState.RUNNING

    @property
    def prepared(self) -> bool:
        """Whether the fragments of its render that are on the disk, if any are, are of this very render.

        What an earlier service left may be of another model, until the first call has looked.
        """
        return bool(self._frames)

    @property
    def about(self) -> dict[str, str]:
        """By what its log lines are found."""
        return about(self.job.id, self.job.traceparent)

    @property
    def long(self) -> bool:
        """Whether it is known to be a long render."""
        return self.media_seconds > LONG_SECONDS

    @property
    def next_method(self) -> Method | None:
        """What a worker could do for it now; None if nothing, or not yet."""
        if self.verdict is not None:
            return None
        if self.running and not (self.long and not self._suspected() and self._waiting()):
            return None
        return self._steps[0]

    def next_call(self, workers: int) -> Call:
        """Return what one of so many workers is to do for it now; there has to be something."""
        method = self.next_method
        assert method is not None
        segments = self._share(workers) if method == "encode" else ()
        job = self.job
        return Call(method, job.id, job.avatar_id, job.params, job.traceparent, segments)

    def start(self, call: Call, waiting: asyncio.Task[Any]) -> None:
        """Note that a worker does a call, and what waits for its answer."""
        if not self.running:
            self._busy_since = time.monotonic()
        self.running[call] = waiting

    def stop(self, call: Call) -> None:
        """Note that a worker no longer does a call; what it has not answered for is to be done again."""
        del self.running[call], self._told[call]
        if not self.running:
            self._busy_seconds += time.monotonic() - self._busy_since
        if call.method == "finish" and self.verdict is None:
            self._steps = _STEPS[JobKind.RENDER][:]  # some of what it joins may be gone: looked at again

    def hear(self, call: Call, done: int, total: int) -> None:
        """Take the progress of a call, if it runs."""
        if call not in self.running or call.method in ("prepare", "finish"):
            return
        if call.method != "encode":
            self._total = total
        self._told[call] = done
        self._count()

    def take(self, call: Call, answer: Answer) -> None:
        """Take the answer to a call."""
        self._made += answer.get("frames_made", 0)
        self._stages.update(answer.get("stage_seconds", {}))
        self.media_seconds = answer.get("media_seconds", self.media_seconds)
        if "warnings" in answer:
            submitted = [w for w in self.job.warnings if w["code"] == NoticeCode.UNKNOWN_FIELDS]
            self.change(warnings=[*submitted, *answer["warnings"]])
        match call.method:
            case "prepare":
                self._frames = list(answer["frames"])
                self._total = self._avatar_frames + sum(self._frames)
                self._done = {index: self._frames[index] for index in answer["there"]}
            case "encode":
                self._done |= {index: self._frames[index] for index in answer["segments"]}
            case "build_avatar":
                self._avatar_frames = answer["frames_made"]
        if call.method != "encode":
            self._steps.pop(0)
        if self._steps[:1] == ["encode"] and len(self._done) == len(self._frames):
            self._steps.pop(0)
        if not self._steps:
            self.end(JobState.SUCCEEDED)
        del self._told[call]
        self._count()

    def die(self, call: Call, death: WorkerDied, most: int) -> Problem | None:
        """Count the death of the process that did a call; return the problem of it that is the last one.

        The deaths of all that worked on it at a time count once: of one machine, driver or volume.
        """
        self._suspects.update(call.segments)
        if call in self._beside:
            return None
        self._beside = set(self.running)
        deaths = self.job.deaths + 1
        if deaths < most:
            self.change(deaths=deaths, attempts=self.job.attempts + 1)
            return None
        self.change(deaths=deaths)
        times = "once" if deaths == 1 else f"{deaths} times"
        error = RenderProcessStalled if death.stalled else RenderProcessCrashed
        return error(
            f"The render process {death} while it worked on this job, which was tried {times}; "
            "check the file that was sent, and the service's log."
        ).problem()

    def end(self, state: JobState, problem: Problem | None = None) -> None:
        """Settle how it ends, unless that is settled."""
        self.verdict = self.verdict or (state, problem)

    def splits(self) -> Call | None:
        """Return a call that has so much to do that a worker without a call can take some of it."""
        if not self.long or self._suspected() or self.verdict or self._waiting():
            return None
        least = LEAST_SHARE_SECONDS * sum(self._frames) / self.media_seconds

        def left(call: Call) -> int:
            return sum(self._frames[index] for index in call.segments) - self._told[call]

        longest = max((call for call in self.running if len(call.segments) > 1), key=left, default=None)
        return longest if longest and left(longest) > least else None

    def change(self, **values: Any) -> None:
        """Change its record."""
        self.become(self._changed(**values))

    def become(self, job: Job) -> None:
        """Change its record to another, and wake those who look at it."""
        self.job = job
        self.followers.notify()

    def ended(self) -> Ended:
        """Return its record as it is to end, and what the metrics are told besides."""
        assert self.verdict is not None
        (state, problem), done = self.verdict, self.job.frames_done
        if state is JobState.SUCCEEDED:
            done = self.job.frames_total
        return Ended(
            self._changed(state=state, error=problem, frames_done=done, finished_at=utc_now()),
            work_seconds=self._busy_seconds,
            frames=self._made,
            media_seconds=self.media_seconds,
            stage_seconds=dict(self._stages),
        )

    def _changed(self, **values: Any) -> Job:
        return replace(self.job, revision=self.job.revision + 1, **values)

    def _waiting(self) -> list[int]:
        """Return the segments that are still to be made and that no call is for."""
        taken = self._done.keys() | {index for call in self.running for index in call.segments}
        return [index for index in range(len(self._frames)) if index not in taken]

    def _suspected(self) -> set[int]:
        """Return the segments that may have killed a worker: until they are there, one has all of them."""
        return self._suspects - self._done.keys()

    def _share(self, workers: int) -> Sequence[int]:
        """Return the next segments for one of so many workers; all that are left if it is the only one."""
        waiting = self._waiting()
        if workers < 2 or not self.long:
            return waiting
        waiting = sorted(self._suspected()) or waiting
        second = sum(self._frames) / self.media_seconds
        left = sum(self._frames[index] for index in waiting) / second / workers
        most = min(MOST_SHARE_SECONDS, max(LEAST_SHARE_SECONDS, left)) * second
        share: list[int] = []
        for index in waiting:
            if share and sum(self._frames[each] for each in (*share, index)) > most:
                break
            share.append(index)
        return share

    def _count(self) -> None:
        done = self._avatar_frames + sum(self._done.values()) + self._told.total()
        now = time.monotonic()
        if self._first is None and self._total:
            self._first = now, done
        since, before = self._first or (now, done)
        fps = (done - before) / (now - since) if now > since else 0.0
        self.change(frames_done=done, frames_total=self._total, fps=max(0.0, fps))
