"""The interface through which the scheduler calls workers, on one machine or many."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.errors import Problem

Method = Literal["check", "build_avatar", "prepare", "encode", "finish"]

Answer = Mapping[str, Any]
"""What a worker answers to a call: JSON, by the fields that :class:`app.workers.worker.Worker` names."""

Told = Callable[[int, int], None]
"""Hears (frames done, frames in all) of a call while it runs."""


@dataclass(frozen=True, eq=False)
class Call:
    """One thing for one worker to do, once; doing the same again in another call does no harm."""

    method: Method
    job_id: str
    avatar_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    """Those of the job, as JSON."""
    traceparent: str | None = None
    """The request's span, as W3C Trace Context writes it."""
    segments: Sequence[int] = ()
    """The segments to encode."""


class WorkerDied(Exception):
    """The process that worked on a call is gone, or stalled and was killed; the text says how."""

    def __init__(self, how: str, *, stalled: bool = False) -> None:
        super().__init__(how)
        self.stalled = stalled


class WorkerLeft(Exception):
    """A worker gave a call back, or was taken away, through no fault of the job's."""


class CallFailed(Exception):
    """A call was answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


class Pool(Protocol):
    """Some workers, each of which does one call at a time; lives on the web process's event loop."""

    model: Mapping[str, Any] | None
    """What the workers have loaded; None until that is known."""
    restarts: int
    """How often a worker was started in place of a dead one."""

    @property
    def size(self) -> int:
        """How many workers are there, their model loaded."""

    @property
    def idle(self) -> int:
        """How many of them wait for a call."""

    @property
    def status(self) -> str:
        """Why no worker is there, or what is wrong with some, in a sentence; empty if all is well."""

    @property
    def unusable(self) -> bool:
        """Whether jobs would wait for ever as things are: no worker can load its model."""

    def call(self, call: Call, told: Told) -> Coroutine[Any, Any, Answer]:
        """Have an idle worker do a call, best one that has the same job open; it is taken at once.

        The coroutine returns the answer or raises ``CallFailed``, ``WorkerDied`` or ``WorkerLeft``. Canceled,
        it ends when the worker has stopped. Raises LookupError if no worker is idle.
        """

    def give_way(self, call: Call) -> None:
        """Have the worker of a call answer at the end of its present segment."""

    def wish(self, workers: int) -> None:
        """Hear how many workers could be busy now, for a pool that can grow."""

    async def start(self, changed: Callable[[], None]) -> None:
        """Start the workers without waiting for them; ``changed`` is called whenever one comes or goes."""

    async def stop(self) -> None:
        """End all workers."""
