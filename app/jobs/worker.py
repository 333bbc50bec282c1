"""The render process: loads one model, then works through the queue, one job at a time.

Started by the supervisor as ``python -m app.jobs.worker``. Its standard input carries the settings as one
line of JSON, and then nothing: when it ends, the parent is gone and so must this process be. Its standard
output carries messages; whatever a library prints goes to standard error instead.
"""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from app.errors import JobCanceled, ModelError, MouthpieceError, StorageFull
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobProgress, JobState, utc_now
from app.jobs.messages import Beat, Ended, Message, Ready, Unusable, to_line
from app.jobs.runner import JobStats, ModelRunner, Runner
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.logs import configure_logs
from app.settings import Settings

log = structlog.stdlib.get_logger("app.jobs.worker")

IDLE_SECONDS: Final = 0.05
"""How long the worker waits before it looks for a job again: a look costs about 0.1 ms."""
REPORT_SECONDS: Final = 0.2
"""Least time between two reports of progress; also how soon a cancel is seen, if batches are that fast."""
BEAT_SECONDS: Final = 0.5
"""Time between two signs of life while the worker waits."""

Tell = Callable[[Message], None]
"""Sends a message to the supervisor."""


class _Stopping(Exception):
    """Raised through a job's work when the process is told to stop."""


class Worker:
    """Claims jobs and does them until it is told to stop."""

    def __init__(self, table: JobTable, files: DataFolder, runner: Runner, tell: Tell) -> None:
        self._table = table
        self._files = files
        self._runner = runner
        self._tell = tell
        self._stopping = False

    def stop(self) -> None:
        """Have the worker stop after the present batch; its job goes back to the queue."""
        # Called by a signal handler, where setting a threading.Event that the thread waits on can deadlock.
        self._stopping = True

    def run(self) -> None:
        """Load the model, then work until told to stop."""
        try:
            model = self._runner.load()
        except ModelError as error:
            log.error("model_unusable", detail=error.detail)
            self._tell(Unusable(error.problem()))
            return
        log.info("model_ready", **{key: model[key] for key in ("name", "device") if key in model})
        self._tell(Ready(model))
        beaten = time.monotonic()
        while not self._stopping:
            job = self._table.claim()
            if job is not None:
                with structlog.contextvars.bound_contextvars(job=job.id):
                    self._work(job)
                continue
            time.sleep(IDLE_SECONDS)
            if time.monotonic() - beaten > BEAT_SECONDS:
                self._tell(Beat())
                beaten = time.monotonic()

    def _work(self, job: Job) -> None:
        log.info("job_started", kind=job.kind, avatar=job.avatar_id, attempt=job.attempts)
        started = time.monotonic()
        stats = JobStats()
        try:
            stats = self._runner.run(job, _Reporter(job, self._table, self._tell, lambda: self._stopping))
            ended = self._table.finish(job, JobState.SUCCEEDED)
            self._files.forget_upload(job.id)
        except _Stopping:
            self._table.release(job)
            log.info("job_released")
            return
        except JobCanceled:
            # The files go first: once the job is said to be canceled, nothing of it is left.
            self._files.forget(job.id)
            ended = self._table.finish(job, JobState.CANCELED)
        except Exception as error:
            ended = self._table.finish(job, JobState.FAILED, as_error(error, job).problem())
            self._files.forget(job.id)
        if ended is not None:
            seconds = time.monotonic() - started
            log.info("job_ended", state=ended.state, frames=stats.frames, seconds=round(seconds, 3))
            self._tell(ended_message(ended, seconds, stats))


class _Reporter:
    """The progress callback of one job: writes to the table, beats, and raises when the work is to end."""

    def __init__(self, job: Job, table: JobTable, tell: Tell, stopping: Callable[[], bool]) -> None:
        self._job = job
        self._table = table
        self._tell = tell
        self._stopping = stopping
        self._reported = 0.0
        self._ended = False
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._stopping():
            raise _Stopping
        now = time.monotonic()
        if self._first is None and total:  # before that it only says that it is alive
            self._first = now, done
        at_end = done == total > 0 and not self._ended
        if now - self._reported < REPORT_SECONDS and not at_end:
            return
        self._reported, self._ended = now, at_end or self._ended
        self._tell(Beat())
        started, before = self._first or (now, done)
        fps = (done - before) / (now - started) if now > started else 0.0
        if not self._table.report(self._job, JobProgress(done, total, fps)):
            raise JobCanceled("The job was canceled.")


def as_error(error: Exception, job: Job) -> MouthpieceError:
    """Return what a job failed of, and log it; a caller never sees the words of an unforeseen error."""
    if isinstance(error, MouthpieceError):
        log.info("job_refused", code=error.code, detail=error.detail)
        return error
    log.exception("job_broke", exc_info=error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return StorageFull("The volume is full; delete avatars or jobs, or give it more room, and try again.")
    return MouthpieceError(f"The job failed unexpectedly; the service's log says why, under job {job.id}.")


def ended_message(job: Job, seconds: float, stats: JobStats) -> Ended:
    """Return the message that a job has ended, after ``seconds`` of work."""
    wait = (job.started_at or utc_now()) - job.created_at
    return Ended(
        job_id=job.id,
        kind=job.kind,
        state=job.state,
        wait_seconds=wait.total_seconds(),
        work_seconds=seconds,
        frames=stats.frames,
        media_seconds=stats.media_seconds,
        stage_seconds=stats.stage_seconds,
    )


def main(make_runner: Callable[[Settings], Runner] = ModelRunner) -> None:
    """Run the render process until its parent stops it or is gone."""
    tell = _open_channel()
    settings = Settings.model_validate_json(_read_settings())
    configure_logs(settings.log_format, settings.log_level)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    files = DataFolder(settings.data_dir)
    table = JobTable(open_database(settings.database_url or files.database), settings.max_queued)
    worker = Worker(table, files, make_runner(settings), tell)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


def _open_channel() -> Tell:
    """Take standard output for messages, and send whatever else is printed to standard error."""
    channel = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(message: Message) -> None:
        os.write(channel, to_line(message).encode())

    return tell


def _read_settings() -> bytes:
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
        return pipe.readline()


def _die_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
