"""Ours: a real service in processes of its own, asked over HTTP as a caller asks."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from benchmarks.inputs import FOLDER
from benchmarks.processes import cpu_seconds, peak_megabytes, reset_peaks
from benchmarks.runs import Crowd, Run
from tests.support.server import Server

_STAGE: Final = re.compile(r'mouthpiece_render_stage_seconds_total\{stage="(\w+)"\} (\S+)')
_ENDED: Final = ("succeeded", "failed", "canceled")
_LONGEST_START: Final = 900.0
"""A checkpoint is converted at the first start, seconds."""


@dataclass
class Service:
    """One running service with one model."""

    server: Server
    ready_seconds: float
    """From the command to the first good answer of /readyz."""

    def register(self, avatar: str, clip: Path, seconds: float) -> Run:
        """Make an avatar of ``clip`` and tell what that took."""
        self.server.client.delete(f"/v1/avatars/{avatar}")
        reset_peaks(self.server.pid)
        with clip.open("rb") as video:
            started, spent = time.perf_counter(), cpu_seconds(self.server.pid)
            files, fields = {"video": video}, {"id": avatar}
            self.server.client.post("/v1/avatars", data=fields, files=files).raise_for_status()
            wall = time.perf_counter() - started
        return Run(seconds, wall, cpu_seconds(self.server.pid) - spent, peaks=peak_megabytes(self.server.pid))

    def render(self, avatar: str, speech: Path, seconds: float, quality: str = "standard") -> Run:
        """Render one stream and tell what it took until the job has ended."""
        reset_peaks(self.server.pid)
        stages, spent, started = self._stages(), cpu_seconds(self.server.pid), time.perf_counter()
        first = None
        path, query = f"/v1/avatars/{avatar}/renders", {"stream": "true"}
        with speech.open("rb") as audio:
            request = self.server.client.stream(
                "POST", path, params=query, data={"quality": quality}, files={"audio": audio}
            )
            with request as answer:
                job = answer.raise_for_status().headers["Content-Location"]
                for chunk in answer.iter_raw():
                    if first is None and b"moof" in chunk:
                        first = time.perf_counter() - started
        while self.server.client.get(job).json()["state"] not in _ENDED:
            time.sleep(0.01)
        wall = time.perf_counter() - started
        return Run(
            seconds,
            wall,
            cpu_seconds(self.server.pid) - spent,
            first_picture_seconds=first,
            stages={name: value - stages.get(name, 0) for name, value in self._stages().items()},
            peaks=peak_megabytes(self.server.pid),
        )

    def crowd(self, avatar: str, speech: Path, seconds: float, callers: int = 4) -> Crowd:
        """Have several callers render at once; tell how long each one waited for its whole MP4."""

        def ask(_: int) -> float:
            started = time.perf_counter()
            files = {"audio": speech.read_bytes()}
            self.server.client.post(f"/v1/avatars/{avatar}/renders", files=files).raise_for_status()
            return time.perf_counter() - started

        with ThreadPoolExecutor(callers) as pool:
            return Crowd(seconds, list(pool.map(ask, range(callers))))

    def _stages(self) -> dict[str, float]:
        return {name: float(value) for name, value in _STAGE.findall(self.server.client.get("/metrics").text)}


@contextmanager
def service(name: str, model: Path | None) -> Iterator[Service]:
    """Run a service with folders of its own until the block ends."""
    root = FOLDER / name
    root.mkdir(parents=True, exist_ok=True)
    settings = {"LOG_LEVEL": "warning"} | ({} if model is None else {"MODEL": str(model)})
    server = Server(root, settings)
    server.client.timeout = 3600.0
    started = time.perf_counter()
    server.start(wait=False)
    try:
        server.wait(lambda: _is_ready(server), _LONGEST_START)
        yield Service(server, time.perf_counter() - started)
    finally:
        server.stop()
        server.client.close()


def _is_ready(server: Server) -> bool:
    try:
        return server.client.get("/readyz").is_success
    except httpx.TransportError:
        return False
