"""A service on several machines, as far as one can be: a web process and workers, RabbitMQ, PostgreSQL."""

import atexit
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.backing import Backing, missing
from tests.support.server import Server
from tests.support.waiting import DEADLINE

WORKER = (sys.executable, "-m", "app.cli", "worker")


@cache
def backing() -> Backing:
    """Return the RabbitMQ and the PostgreSQL of this run of the tests; skip where they are not installed."""
    if reason := missing():
        pytest.skip(reason)
    services = Backing()
    atexit.register(services.stop)
    return services


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@dataclass
class Worker:
    """One ``mouthpiece worker``."""

    process: subprocess.Popen[bytes]

    @property
    def child(self) -> int | None:
        """The process that has the model."""
        found = children(self.process.pid)
        return found[0] if found else None

    def kill(self) -> None:
        """Kill it, child and all, as if the machine had lost its power."""
        found = children(self.process.pid)
        for pid in (self.process.pid, *found):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=DEADLINE)

    def stop(self) -> int:
        """Tell it to stop, and wait until it has."""
        self.process.terminate()
        return self.process.wait(timeout=3 * DEADLINE)


@dataclass
class Cluster(Server):
    """A service and its workers; started and stopped, or killed, as one."""

    size: int = 1
    command: tuple[str, ...] = WORKER

    def __post_init__(self) -> None:
        super().__post_init__()
        self.workers: list[Worker] = []

    @property
    def render_pid(self) -> int | None:
        """The process of the first worker that has the model."""
        return self.workers[0].child if self.workers else None

    def start(self, *, wait: bool = True) -> None:
        """Start the service and its workers."""
        self.workers = [self.hire() for _ in range(self.size)]
        super().start(wait=wait)

    def wait_until_ready(self) -> None:
        """Wait until the model is loaded; two processes load at once here, on a machine that may be busy."""
        self.wait(lambda: self._get("/readyz") == 200, 9 * DEADLINE)

    def hire(self) -> Worker:
        """Start one more worker."""
        return Worker(self.spawn(*self.command))

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many workers have loaded their model."""
        self.wait(lambda: self.log.count('"event": "model_ready"') >= count, 9 * DEADLINE)

    def kill(self) -> None:
        """Kill all of it."""
        super().kill()
        for worker in self.workers:
            worker.kill()

    def stop(self) -> int:
        """Stop the workers, then the service."""
        for worker in self.workers:
            worker.process.terminate()
        status = super().stop()
        end = time.monotonic() + 3 * DEADLINE
        for worker in self.workers:
            worker.process.wait(timeout=end - time.monotonic())
        return status
