"""A real service in a process of its own, as an operator starts it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.ports import free_port
from tests.support.waiting import DEADLINE


@dataclass
class Server:
    """One service with folders of its own below ``root``; started again, it finds them as it left them."""

    root: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    """Variables besides the settings."""

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=60)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        """Its folder of jobs."""
        return self.root / "data"

    @property
    def avatars_dir(self) -> Path:
        """Its folder of avatars."""
        return self.root / "avatars"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.root / "log").read_text()

    @property
    def pid(self) -> int:
        """The web process."""
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the web process has come to its end."""
        return self._process is not None and self._process.poll() is not None

    @property
    def render_pid(self) -> int | None:
        """The first worker, if there is one now."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it is ready."""
        self._process = self.spawn(sys.executable, "-m", "app.cli", "serve")
        if wait:
            self.wait_until_ready()

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program with the settings of this service."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MOUTHPIECE_")}
        environment |= self.environment | {
            "MOUTHPIECE_PORT": str(self.port),
            "MOUTHPIECE_DATA_DIR": str(self.data_dir),
            "MOUTHPIECE_AVATARS_DIR": str(self.avatars_dir),
            "MOUTHPIECE_LOG_FORMAT": "json",
        }
        environment |= {f"MOUTHPIECE_{name}": value for name, value in self.settings.items()}
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stderr=log)

    def wait_until_ready(self) -> None:
        """Wait until the model is loaded."""
        self.wait(lambda: self.get("/readyz") == 200)

    def wait(self, condition: Any, deadline: float = 2 * DEADLINE) -> Any:
        """Return what the condition gives once that is true; fail with the log if it is not in time."""
        end = time.monotonic() + deadline
        while not (value := condition()):
            assert time.monotonic() < end, f"it did not happen in time\n{self.log[-4000:]}"
            time.sleep(0.05)
        return value

    def kill(self) -> None:
        """Kill the web process, and nothing else, as the kernel would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Tell it to stop, wait until it has, and return its exit status."""
        return self._end(signal.SIGTERM)

    def job(self, job_id: str) -> Any:
        """Return a job as JSON."""
        return self.client.get(f"/v1/jobs/{job_id}").raise_for_status().json()

    def outcome(self, job_id: str, deadline: float = 2 * DEADLINE) -> Any:
        """Return a job as JSON once it has ended."""
        ended = ("succeeded", "failed", "canceled")
        return self.wait(lambda: job if (job := self.job(job_id))["state"] in ended else None, deadline)

    def files(self, job_id: str) -> list[str]:
        """Return the names of a job's files."""
        folder = self.data_dir / "jobs" / job_id
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    @contextmanager
    def worker_stopped(self) -> Iterator[None]:
        """Have the first worker stand still for as long as the block lasts."""
        pid = self.render_pid
        assert pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):  # it stood still for so long that it was replaced
                os.kill(pid, signal.SIGCONT)

    def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=DEADLINE)

    def get(self, path: str) -> int:
        """Return the status of an answer; 0 if there is none."""
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return 0


@contextmanager
def running(root: Path, **settings: str) -> Iterator[Server]:
    """Run a service for as long as the block lasts; ``settings`` are MOUTHPIECE_ variables."""
    server = Server(root, settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.client.close()
