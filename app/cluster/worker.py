"""The worker: Celery's parent process, which only talks to the broker, and children that each have a model.

A child loads its model after it was forked, since CUDA does not survive a fork, and before it is given work.
It says in the roster that it is there. When the parent is told to stop, it has its children give back what
they are doing, so that a machine is drained in seconds and another one goes on at the next segment.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from billiard.process import active_children
from celery import Celery, signals
from celery.exceptions import Reject
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.avatars.store import AvatarStore
from app.cluster.part import Queue
from app.cluster.parts import PartTable
from app.cluster.post import TASK, Post, make_celery
from app.cluster.roster import SAY_SECONDS, Roster
from app.cluster.runner import PartRunner, SegmentRunner
from app.cluster.schema import open_database
from app.cluster.turns import TurnTable
from app.cluster.work import Hand
from app.errors import DatabaseUnreachable, ModelError
from app.jobs.files import DataFolder
from app.jobs.table import JobTable
from app.logs import configure_logs
from app.settings import Settings

log = structlog.stdlib.get_logger("app.cluster.worker")

GIVE_BACK: Final = signal.SIGUSR2
"""The signal with which the parent tells a child to give its part back."""
RETRY_SECONDS: Final = 2.0
"""How often PostgreSQL is tried that does not answer at the start."""


def run(
    settings: Settings,
    slots: int = 1,
    queues: Sequence[Queue] = tuple(Queue),
    make_runner: Callable[[Settings], PartRunner] = SegmentRunner,
) -> None:
    """Work until told to stop: ``slots`` processes, each with a model, for parts of these queues."""
    configure_logs(settings.log_format, settings.log_level)
    assert settings.broker_url is not None
    celery = make_celery(settings.broker_url)
    child = _Child(settings, celery, make_runner)
    celery.task(child.do, name=TASK, shared=False)
    # Held by name until the worker ends: Celery keeps weak references to what hears its signals.
    hears = {
        signals.setup_logging: lambda **_: None,
        signals.worker_process_init: lambda **_: child.start(),
        signals.worker_process_shutdown: lambda **_: child.stop(),
        signals.worker_shutting_down: lambda **_: _have_all_given_back(),
    }
    for heard, react in hears.items():
        heard.connect(react)
    celery.Worker(
        hostname=f"mouthpiece-{os.getpid()}@{socket.gethostname()}",
        pool_cls="prefork",
        concurrency=slots,
        queues=list(queues),
        optimization="fair",
        quiet=True,
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        loglevel=settings.log_level.upper(),
    ).start()


def is_ready(settings: Settings) -> bool:
    """Return whether a worker of this machine is there, its model loaded. Raises ``DatabaseUnreachable``."""
    engine = open_database(settings.database_url or "")
    try:
        return Roster(engine).has(socket.gethostname())
    finally:
        engine.dispose()


def _have_all_given_back() -> None:
    log.info("worker_stopping")
    for process in active_children():
        with suppress(ProcessLookupError):
            os.kill(process.pid, GIVE_BACK)


class _Child:
    """One process of the pool."""

    def __init__(
        self, settings: Settings, celery: Celery, make_runner: Callable[[Settings], PartRunner]
    ) -> None:
        self._settings = settings
        self._celery = celery
        self._make_runner = make_runner
        self._hand: Hand | None = None
        self._roster: Roster | None = None
        self._name = ""

    def start(self) -> None:
        """Load the model, and be there for work. Called in the child, after the fork."""
        settings = self._settings
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        structlog.contextvars.bind_contextvars(worker=self._name)
        engine = _reach(settings.database_url or "")
        roster = self._roster = Roster(engine)
        runner = self._make_runner(settings)
        try:
            model = dict(runner.load())
        except ModelError as error:
            log.error("model_unusable", detail=error.detail)
            roster.say(self._name, None, error.problem())
            os.kill(os.getppid(), signal.SIGTERM)
            return
        hand = self._hand = self._make_hand(engine, runner, roster)
        signal.signal(GIVE_BACK, lambda *_: hand.stop())
        roster.say(self._name, model)
        threading.Thread(target=self._keep_saying, args=(roster, model), name="roster", daemon=True).start()
        log.info("model_ready", **{key: model[key] for key in ("name", "device") if key in model})

    def _make_hand(self, engine: Engine, runner: PartRunner, roster: Roster) -> Hand:
        settings = self._settings
        table = JobTable(engine, settings.max_queued)
        return Hand(
            PartTable(engine, table, settings.max_attempts),
            TurnTable(engine, settings.max_running_per_key),
            DataFolder(settings.data_dir),
            AvatarStore(settings.avatars_dir, shared=True),
            runner,
            Post(self._celery),
            window=lambda: len(roster.muster().models),
            stall_seconds=settings.stall_seconds,
        )

    def do(self, job_id: str, index: int) -> None:
        """Do a part: the task."""
        if self._hand is None or not self._hand.do(job_id, index):
            raise Reject("The worker is told to stop.", requeue=True)

    def stop(self) -> None:
        """Leave the roster. Called in the child, before it ends."""
        if self._roster is not None:
            with suppress(SQLAlchemyError):
                self._roster.leave(self._name)

    def _keep_saying(self, roster: Roster, model: dict[str, Any]) -> None:
        while True:
            time.sleep(SAY_SECONDS)
            try:
                roster.say(self._name, model)
            except SQLAlchemyError as error:
                log.warning("job_table_unwritable", error=str(error))


def _reach(url: str) -> Engine:
    while True:
        try:
            return open_database(url)
        except DatabaseUnreachable as error:
            log.warning("database_unreachable", detail=error.detail)
            time.sleep(RETRY_SECONDS)
