"""Renders, registers, deletes, cancels and refuses, again and again, and looks for what is left behind.

``python -m benchmarks.soak [renders]`` prints what the service's processes hold as it goes on, and ends with
1 if processes, threads, handles or memory have grown, or files were left.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.processes import descendants
from tests.support import clips
from tests.support.server import Server, running

console = Console()

LOOKS: Final = 12
"""How often the processes are looked at; the first third is the warm-up, in which caches fill."""
JOB_TTL: Final = 15
KEPT: Final = {"jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm", "service.lock", "cache"}
"""What belongs in the data folder when there is no job."""


@dataclass(frozen=True)
class Held:
    """What the service's processes hold at one moment."""

    renders: int
    processes: int
    threads: int
    handles: int
    megabytes: float

    @classmethod
    def by(cls, server: Server, renders: int) -> "Held":
        """Look at a service."""
        pids = descendants(server.pid)
        return cls(
            renders,
            len(pids),
            sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids),
            sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
            round(sum(_resident(pid) for pid in pids), 1),
        )


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    lines = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(next(lines, "VmRSS: 0").split()[1]) / 1024  # one that has just ended holds nothing


class Soak:
    """One service, and the many ways to use it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._client = server.client
        self._video = clips.talking_head(folder / "head.mp4", 1.0).read_bytes()
        self._speech = clips.speech(folder / "words.wav", 1.5).read_bytes()
        self._long = clips.speech(folder / "long.wav", 30.0).read_bytes()
        self._avatars = itertools.count()
        self._avatar = ""

    def register(self) -> None:
        """Make a new avatar and delete the one before."""
        before, self._avatar = self._avatar, f"soak-{next(self._avatars)}"
        data = {"id": self._avatar}
        self._client.post("/v1/avatars", data=data, files={"video": self._video}).raise_for_status()
        if before:
            self._client.delete(f"/v1/avatars/{before}").raise_for_status()

    @property
    def ways(self) -> tuple[Callable[[], None], ...]:
        """Return the ways to render, each of which asks for one video."""
        return self._whole, self._streamed, self._later, self._canceled, self._abandoned, self._refused

    def _post(self, audio: bytes, **headers: str) -> tuple[int, str]:
        path = f"/v1/avatars/{self._avatar}/renders"
        answer = self._client.post(path, files={"audio": audio}, headers=headers)
        return answer.status_code, answer.headers["Content-Location"]

    def _whole(self) -> None:
        status, _ = self._post(self._speech)
        assert status == 200

    def _streamed(self) -> None:
        path, query = f"/v1/avatars/{self._avatar}/renders", {"stream": "true"}
        self._client.post(path, params=query, files={"audio": self._speech}).raise_for_status()

    def _later(self) -> None:
        _, job = self._post(self._speech, Prefer="respond-async")
        assert "event: end" in self._client.get(f"{job}/events").text
        self._client.get(f"{job}/video").raise_for_status()
        self._client.delete(job).raise_for_status()

    def _canceled(self) -> None:
        _, job = self._post(self._long, Prefer="respond-async")
        self._server.wait(lambda: self._client.get(job).json()["progress"]["frames_done"])
        self._client.delete(job).raise_for_status()

    def _abandoned(self) -> None:
        path, query = f"/v1/avatars/{self._avatar}/renders", {"stream": "true"}
        request = self._client.stream("POST", path, params=query, files={"audio": self._speech})
        with request as answer:
            next(answer.iter_raw())

    def _refused(self) -> None:
        status, _ = self._post(b"no sound")
        assert status == 415


def soak(server: Server, folder: Path, renders: int) -> list[Held]:
    """Ask for so many renders and return what was held on the way, each time when all was quiet."""
    work = Soak(server, folder)
    seen = []
    for done, way in enumerate(itertools.islice(itertools.cycle(work.ways), renders)):
        if done % 10 == 0:
            work.register()
        way()
        if (done + 1) % max(1, renders // LOOKS) == 0:
            server.wait(lambda: not _open_jobs(server))
            time.sleep(1)
            seen.append(Held.by(server, done + 1))
            console.print(seen[-1])
    return seen


def _open_jobs(server: Server) -> bool:
    states = "queued", "running"
    return any(server.client.get("/v1/jobs", params={"state": s}).json()["jobs"] for s in states)


def leftovers(server: Server) -> list[str]:
    """Wait until all jobs have expired, and return what is left that belongs to none."""
    time.sleep(JOB_TTL)
    server.wait(lambda: not server.client.get("/v1/jobs").json()["jobs"], 6 * JOB_TTL)
    data = [path.name for path in server.data_dir.iterdir() if path.name not in {*KEPT, "jobs"}]
    jobs = server.data_dir / "jobs"
    jobs_left = [path.name for path in jobs.iterdir()] if jobs.is_dir() else []
    avatars = [path.name for path in server.avatars_dir.iterdir()]
    return data + jobs_left + avatars[1:]


def growth(seen: list[Held]) -> list[str]:
    """Return what was never so low in the last third as it was at its highest in the second."""
    third = len(seen) // 3
    found = []
    for name, slack in ("processes", 0), ("threads", 0), ("handles", 0), ("megabytes", 10):
        before, after = (
            [getattr(held, name) for held in part] for part in (seen[third:-third], seen[-third:])
        )
        if min(after) > max(before) + slack:
            found.append(f"{name}: from {before} to {after}")
    return found


def main() -> int:
    """Soak a service; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("renders", type=int, nargs="?", default=200, help=f"{LOOKS} or more [200]")
    renders: int = parser.parse_args().renders
    if renders < LOOKS:
        parser.error(
            f"{renders} renders are too few to tell whether anything grows: ask for {LOOKS} or more."
        )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder, JOB_TTL=str(JOB_TTL), LOG_LEVEL="error") as server:
            found = growth(soak(server, folder, renders)) + leftovers(server)
            log = server.log
    seconds = time.monotonic() - started
    console.print(
        f"{renders} renders in {seconds:.0f} s; grown or left: {found or 'nothing'}; log: {log or 'empty'}"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
