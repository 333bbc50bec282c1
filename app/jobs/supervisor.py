"""Starts the render process, watches it, and starts it again when it dies or stands still.

The render process decodes hostile media, so its death is an ordinary event: the job that it held is tried
again a set number of times and then fails, and everybody else's jobs go on.
"""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError

from app.errors import NotReady, Problem, RenderProcessCrashed, RenderProcessError, RenderProcessStalled
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobState, utc_now
from app.jobs.messages import Ended, Ready, Unusable, from_line
from app.jobs.table import JobTable

log = structlog.stdlib.get_logger(__name__)

WORKER: Final = (sys.executable, "-m", "app.jobs.worker")
"""The command that runs the render process."""
TICK_SECONDS: Final = 0.5
"""How often a silent process is thought about."""
LONG_LIFE_SECONDS: Final = 60.0
"""A process that lived this long, or ended a job, is not one of a row that keeps dying."""


@dataclass(frozen=True)
class Patience:
    """How long and how often the supervisor waits, and tries."""

    attempts: int = 3
    """How often a job is tried."""
    stall_seconds: float = 60.0
    """A process that is ready and then gives no sign of life for this long is killed."""
    start_seconds: float = 900.0
    """A process that is not ready after this long is killed: a checkpoint may have to be converted first."""
    cancel_seconds: float = 3.0
    """A process that is silent for this long while its job is to be canceled is killed."""
    stop_seconds: float = 5.0
    """A process that was told to stop is killed after this long."""
    longest_delay: float = 30.0
    """Longest wait before a process that keeps dying is started again."""

    def delay(self, failures: int) -> float:
        """Return how long to wait after so many deaths in a row: not at all at first, then ever longer."""
        return 0.0 if failures < 2 else min(self.longest_delay, 0.5 * 2 ** min(failures - 2, 10))


class Supervisor:
    """Keeps one render process running; lives on the web process's event loop."""

    def __init__(
        self,
        table: JobTable,
        files: DataFolder,
        *,
        settings_json: str,
        patience: Patience = Patience(),
        on_ended: Callable[[Ended], None] = lambda _: None,
        on_death: Callable[[], object] = lambda: None,
        command: Sequence[str] = WORKER,
    ) -> None:
        """``on_ended`` hears of every job that ends; ``on_death`` clears up after a process that died."""
        self._table = table
        self._files = files
        self._settings_json = settings_json
        self._patience = patience
        self._on_ended = on_ended
        self._on_death = on_death
        self._command = command
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failures = 0
        self._status = "The model is being loaded; try again in a few seconds."
        self.model: Mapping[str, Any] | None = None
        """What is loaded; None until the first process was ready."""
        self.ready = False
        """Whether a process is ready for work now."""
        self.unusable: Problem | None = None
        """Why the model cannot be loaded; then no process is started again."""
        self.restarts = 0
        """How often a process was started in place of a dead one."""

    def check_usable(self) -> None:
        """Raise ``NotReady`` if jobs would wait for ever because the model cannot be loaded."""
        if self.unusable is not None:
            raise NotReady(self.unusable["detail"])

    def check_ready(self) -> None:
        """Raise ``NotReady``, with the reason, unless a job that is submitted now would be begun now."""
        self.check_usable()
        if not self.ready:
            raise NotReady(self._status)

    async def start(self) -> None:
        """Settle the jobs of a service that died, and start the first process without waiting for it."""
        await self._settle(
            RenderProcessCrashed(self._verdict("The service died while it worked on this job"))
        )
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the process; its job goes back to the queue, for the next start of the service."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(self._patience.stop_seconds):
                    await process.wait()
            except TimeoutError:
                _kill(process)
                await process.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            started = time.monotonic()
            how, error = await self._run_once()
            self.ready = False
            if self._stopping or self.unusable:
                return
            if time.monotonic() - started > LONG_LIFE_SECONDS:
                self._failures = 0
            self._failures += 1
            log.error("render_process_died", how=how, failures=self._failures)
            self._status = f"The render process {how}; it is being started again, try again in a few seconds."
            await self._settle(error(self._verdict(f"The render process {how} while it worked on this job")))
            await asyncio.sleep(self._patience.delay(self._failures))
            self.restarts += 1

    async def _run_once(self) -> tuple[str, type[RenderProcessError]]:
        """Run a process to its end; return how that came about, and what it means for the job it held."""
        try:
            process = self._process = await self._spawn()
        except OSError as error:
            return f"could not be started ({error.strerror})", RenderProcessCrashed
        if await self._listen(process):
            await process.wait()
            return "stood still and was stopped", RenderProcessStalled
        return _describe(await process.wait()), RenderProcessCrashed

    async def _spawn(self) -> Process:
        # A session of its own: a Ctrl-C on the terminal is for the service, which then stops its child.
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        assert process.stdin is not None
        process.stdin.write(self._settings_json.encode() + b"\n")
        log.info("render_process_started", pid=process.pid)
        return process

    async def _listen(self, process: Process) -> bool:
        """Hear a process until it ends; return whether it had to be killed because it stood still."""
        assert process.stdout is not None
        heard = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    line = await process.stdout.readline()
            except TimeoutError:
                if await self._is_stuck(time.monotonic() - heard):
                    _kill(process)
                    return True
                continue
            if not line:
                return False
            heard = time.monotonic()
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            message = from_line(line)
        except (ValueError, KeyError, TypeError):
            log.warning("message_not_understood", line=line[:200])
            return
        match message:
            case Ready(model):
                self.model, self.ready = model, True
            case Unusable(problem):
                self.unusable = problem
            case Ended():
                self._failures = 0
                self._on_ended(message)

    async def _is_stuck(self, silent: float) -> bool:
        if not self.ready:
            return silent > self._patience.start_seconds
        if silent > self._patience.stall_seconds:
            return True
        if silent < self._patience.cancel_seconds:
            return False
        asked_before = utc_now() - timedelta(seconds=self._patience.cancel_seconds)
        running = await to_thread.run_sync(lambda: self._table.page(state=JobState.RUNNING).jobs)
        return any(job.cancel_requested_at and job.cancel_requested_at < asked_before for job in running)

    async def _settle(self, error: RenderProcessError) -> None:
        while True:
            try:
                await to_thread.run_sync(self._settle_jobs, error.problem())
                return
            except SQLAlchemyError as failure:
                log.error("job_table_unwritable", error=str(failure))
                await asyncio.sleep(1)

    def _verdict(self, what: str) -> str:
        times = "once" if self._patience.attempts == 1 else f"{self._patience.attempts} times"
        return f"{what}, which was tried {times}; check the file that was sent, and the service's log."

    def _settle_jobs(self, problem: Problem) -> None:
        for job in self._table.recover(problem, self._patience.attempts):
            log.info("job_ended", job=job.id, state=job.state, attempts=job.attempts)
            self._files.forget(job.id)
            self._on_ended(_ended(job))
        self._on_death()


def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()


def _describe(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _ended(job: Job) -> Ended:
    started, finished = job.started_at or job.created_at, job.finished_at or job.created_at
    return Ended(
        job_id=job.id,
        kind=job.kind,
        state=job.state,
        wait_seconds=(started - job.created_at).total_seconds(),
        work_seconds=(finished - started).total_seconds(),
    )
