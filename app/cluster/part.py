"""The part: what one message asks for, a whole job or some segments of a long render."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.errors import Problem, RenderProcessCrashed
from app.jobs.job import Job, JobKind

STALE_SECONDS: Final = 2.5
"""A worker that has not been heard of for this long is dead, if its message has come to another one."""
LOOK_SECONDS: Final = 0.2
"""How often one looks whether another worker lives, or PostgreSQL."""
BEAT_SECONDS: Final = 0.25
"""Time between two signs of life of a worker that holds a part; also how soon it hears of a cancel."""


class PartState(StrEnum):
    """Where a part stands."""

    WAITING = "waiting"
    """In the table, for its turn."""
    SENT = "sent"
    """With the broker."""
    RUNNING = "running"
    """With a worker, which says at least every ``BEAT_SECONDS`` that it lives."""
    DONE = "done"
    """Its segments are on the volume; or, of part 0 of a long render, the other parts have been planned."""


class Queue(StrEnum):
    """The broker's queues of work."""

    AVATARS = "avatars"
    RENDERS = "renders"
    INTERACTIVE = "interactive"
    """Renders that somebody waits for, with a connection open."""

    @classmethod
    def of(cls, kind: JobKind, *, waited_for: bool) -> "Queue":
        """Return the queue for a job."""
        if kind is JobKind.AVATAR:
            return cls.AVATARS
        return cls.INTERACTIVE if waited_for else cls.RENDERS


@dataclass(frozen=True)
class Part:
    """A part of a job, as its message names it."""

    job_id: str
    index: int
    """0 is the job as it came; a long render has others, one for each group of segments."""
    first: int = 0
    """The first of its segments."""
    count: int = 0
    """How many segments; 0 for part 0, which finds out how many there are."""
    queue: str = Queue.RENDERS
    attempts: int = 0
    """How often a worker has begun it. Who holds a part holds it by this number."""

    @property
    def segments(self) -> range:
        """The numbers of its segments."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Held:
    """A part that this worker has begun, and its job."""

    job: Job
    part: Part


class Verdict(StrEnum):
    """What a worker is told when it says that it lives."""

    GO_ON = "go on"
    CANCELED = "canceled"
    """Somebody asked for the job's end."""
    LOST = "lost"
    """The part is another worker's now, or the job has ended without it."""


class Refusal(StrEnum):
    """Why a part is not begun."""

    OVER = "over"
    """The job has ended, or is no more."""
    DONE = "done"
    """The part has been done before."""
    ELSEWHERE = "elsewhere"
    """Another worker has it, and may be alive."""
    CANCELED = "canceled"
    """Somebody asked for the job's end, and nobody else works on it."""
    SPENT = "spent"
    """It was begun as often as a job may be tried, and every time its worker died."""


def spent() -> Problem:
    """Return what becomes of a job whose part was tried as often as it may be."""
    return RenderProcessCrashed(
        "The render process ended while it worked on this job, as often as it was tried; "
        "check the file that was sent, and the workers' logs."
    ).problem()
