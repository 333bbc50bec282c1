"""The pulse of a part: a thread that says that its worker lives, and hears whether to go on.

It ends the process where the work does not: work that has stood still for too long, or that does not stop
when it is told to, is stuck in a library. The broker then gives the part to another worker, which settles it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.cluster.part import BEAT_SECONDS, Verdict
from app.errors import JobCanceled
from app.jobs.job import JobProgress

log = structlog.stdlib.get_logger(__name__)

OBEY_SECONDS: Final = 3.0
"""How long the work may go on after it was told to stop."""


class Stopping(Exception):
    """Raised through the work when the worker is told to stop."""


class Lost(Exception):
    """Raised through the work when the part is another worker's, or the job has ended without it."""


class Pulse:
    """Runs while its block lasts; called as the work's progress callback, raises when the work is to end."""

    def __init__(
        self,
        beat: Callable[[JobProgress], Verdict],
        is_stopping: Callable[[], bool],
        stall_seconds: float,
        *,
        tells_total: bool,
    ) -> None:
        self._beat = beat
        self._is_stopping = is_stopping
        self._stall_seconds = stall_seconds
        self._tells_total = tells_total
        self._done, self._total = 0, 0
        self._first: tuple[float, int] | None = None
        self._moved = time.monotonic()
        self._verdict, self._judged = Verdict.GO_ON, 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def __call__(self, done: int, total: int) -> None:
        """Note how far the work is. Raises ``Stopping``, ``Lost`` or ``JobCanceled``."""
        self._moved = time.monotonic()
        if self._is_stopping():
            raise Stopping
        if self._verdict is Verdict.LOST:
            raise Lost
        if self._verdict is Verdict.CANCELED:
            raise JobCanceled("The job was canceled.")
        if total:
            self._first = self._first or (self._moved, done)
            self._done, self._total = done, total

    def _run(self) -> None:
        failing = False
        while not self._over.wait(BEAT_SECONDS):
            try:
                verdict = self._beat(self.progress)
            except SQLAlchemyError as error:
                if not failing:
                    log.warning("job_table_unwritable", error=str(error))
                failing = True
                continue
            failing = False
            if verdict is not Verdict.GO_ON and self._verdict is Verdict.GO_ON:
                self._verdict, self._judged = verdict, time.monotonic()
            self._end_if_stuck()

    @property
    def progress(self) -> JobProgress:
        """How far the work is."""
        started, before = self._first or (0.0, 0)
        seconds = self._moved - started
        fps = (self._done - before) / seconds if self._first and seconds > 0 else 0.0
        return JobProgress(self._done, self._total if self._tells_total else 0, fps)

    def _end_if_stuck(self) -> None:
        now = time.monotonic()
        disobeys = self._verdict is not Verdict.GO_ON and now - self._judged > OBEY_SECONDS
        stalls = now - self._moved > self._stall_seconds
        if (disobeys or stalls) and not self._over.is_set():
            log.error("render_process_stuck", seconds=round(now - self._moved, 1))
            os.kill(os.getpid(), signal.SIGKILL)
