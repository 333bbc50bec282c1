"""Hands the work out, for the web process: sends what has its turn, and sees to what got stuck.

While all goes well only the turns are needed. A part whose worker died is delivered again by the broker;
where a message is lost, or was given up, the records are compared with what is there.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from anyio import to_thread
from celery import Celery
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import SQLAlchemyError

from app.cluster.part import LOOK_SECONDS, STALE_SECONDS, Queue, Refusal, spent
from app.cluster.parts import PartTable
from app.cluster.post import Post
from app.cluster.reader import Reader
from app.cluster.roster import Muster, Roster
from app.cluster.turns import TurnTable
from app.cluster.work import send_all
from app.errors import NotReady
from app.jobs.files import DataFolder
from app.jobs.job import JobState
from app.jobs.messages import Ended
from app.jobs.runner import JobStats
from app.jobs.worker import ended_message

log = structlog.stdlib.get_logger(__name__)

ROUND_SECONDS: Final = 1.0
"""Time between two rounds, where no news calls for one earlier."""


class Foreman:
    """See :class:`app.jobs.workforce.Workforce`; lives on the web process's event loop."""

    def __init__(
        self,
        parts: PartTable,
        turns: TurnTable,
        roster: Roster,
        files: DataFolder,
        celery: Celery,
        on_ended: Callable[[Ended], None],
    ) -> None:
        self._parts = parts
        self._turns = turns
        self._roster = roster
        self._files = files
        self._post = Post(celery)
        self._on_ended = on_ended
        self._reader = Reader(celery, self._bury, self._hear)
        self._muster = Muster()
        self._reachable = True
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None] | None = None
        self._looked = 0.0
        self.model: Mapping[str, Any] | None = None
        """What the workers have loaded; None until one was seen."""
        self.restarts = 0
        """Always 0: dead processes are replaced where they run."""

    @property
    def ready(self) -> bool:
        """Whether a worker is there."""
        return self._reachable and bool(self._muster.models) and self._reader.connected

    def check_usable(self) -> None:
        """Raise ``NotReady`` if no worker is there and some could not load their model."""
        if self._muster.problems and not self._muster.models:
            raise NotReady(self._muster.problems[0]["detail"])

    def check_ready(self) -> None:
        """Raise ``NotReady``, with the reason, unless a worker is there."""
        if not self._reachable:
            raise NotReady("The job database cannot be reached; try again in a few seconds.")
        self.check_usable()
        if not self._muster.models:
            raise NotReady("No worker is there; start one with 'mouthpiece worker', or wait for its model.")
        if not self._reader.connected:
            raise NotReady("The broker cannot be reached; jobs are taken, and begun when it can.")

    def hurry(self) -> None:
        """Have the next round begin now: there may be something to send."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def start(self) -> None:
        """Begin to hand out."""
        self._loop = asyncio.get_running_loop()
        self._reader.start()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop handing out; workers go on with what they have."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await to_thread.run_sync(self._reader.stop)
        self._post.close()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await to_thread.run_sync(self._go_round)
                self._reachable = True
            except SQLAlchemyError as error:
                self._reachable = False
                log.error("job_table_unusable", error=str(error))
                await asyncio.sleep(ROUND_SECONDS)
            except (BrokerError, OSError) as error:
                log.warning("broker_unreachable", error=str(error))
                await asyncio.sleep(ROUND_SECONDS)
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _go_round(self) -> None:
        now = time.monotonic()
        if now - self._looked > ROUND_SECONDS / 2:
            self._looked = now
            self._look()
        if send_all(self._post, self._turns, self._turns.next(), self._files):
            for job_id in self._turns.split_jobs():
                groups = self._turns.next_groups(job_id, max(1, len(self._muster.models)))
                send_all(self._post, self._turns, groups, self._files)

    def _look(self) -> None:
        """See who is there, and to what got stuck."""
        self._muster = self._roster.muster()
        if self._muster.models:
            self.model = self._muster.models[0]
        self._roster.forget()
        for job in self._turns.abandoned():
            self._files.forget(job.id)
            self._parts.settle(job.id, JobState.CANCELED)
            log.info("job_ended", job=job.id, state=JobState.CANCELED)
        if lost := self._turns.recover():
            log.warning("parts_recovered", parts=lost)
        if self._turns.has_unseen() and self._reader.connected:
            for queue, ready in self._post.waiting(Queue).items():
                if not ready and (unseen := self._turns.recover_unseen(queue)):
                    log.warning("parts_not_with_the_broker", queue=queue, parts=unseen)

    def _hear(self, ended: Ended) -> None:
        self._on_ended(ended)
        self.hurry()

    def _bury(self, job_id: str, index: int) -> None:
        """Settle a part whose message the broker has given up, since it came back too often."""
        end = time.monotonic() + 2 * STALE_SECONDS
        while (refusal := self._parts.outlook(job_id, index)) is Refusal.ELSEWHERE and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        log.error("dead_letter", job=job_id, part=index, refusal=refusal)
        if refusal is Refusal.SPENT:
            if ended := self._parts.settle(job_id, JobState.FAILED, spent()):
                self._files.forget(job_id)
                log.info("job_ended", job=job_id, state=ended.state, attempts=ended.attempts)
                self._hear(ended_message(ended, 0.0, JobStats()))
        elif refusal is None:
            self._turns.resend(job_id, index)
            self.hurry()
