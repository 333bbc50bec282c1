"""Someone who uses a cluster, and looks behind its curtain."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster, Worker


@dataclass
class Client:
    """A client with one key; ``service`` is what it talks to."""

    service: Cluster
    key: str = ""

    def __post_init__(self) -> None:
        self.headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def make_avatar(self, avatar_id: str, video: Path) -> None:
        """Make an avatar."""
        with video.open("rb") as file:
            answer = self.service.client.post(
                "/v1/avatars", data={"id": avatar_id}, files={"video": file}, headers=self.headers
            )
        assert answer.status_code == 201, answer.text

    def submit(self, audio: Path, name: str = "words.wav", **params: str) -> str:
        """Submit a render and return its job's id."""
        answer = self.service.client.post(
            "/v1/avatars/anna/renders",
            data={"quality": "draft"},
            params=params,
            files={"audio": (name, audio.read_bytes())},
            headers=self.headers | {"Prefer": "respond-async"},
        )
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id

    def job(self, job_id: str) -> Any:
        """Return a job."""
        return self.service.client.get(f"/v1/jobs/{job_id}", headers=self.headers).raise_for_status().json()

    def outcome(self, job_id: str, deadline: float = 180) -> Any:
        """Return a job once it has ended."""
        ended = ("succeeded", "failed", "canceled")
        return self.service.wait(
            lambda: job if (job := self.job(job_id))["state"] in ended else None, deadline
        )

    def video(self, job_id: str) -> bytes:
        """Return the result of a job."""
        answer = self.service.client.get(f"/v1/jobs/{job_id}/video", headers=self.headers)
        return answer.raise_for_status().content

    def cancel(self, job_id: str) -> float:
        """Cancel a job; return how long it took to be, seconds."""
        started = time.monotonic()
        answer = self.service.client.delete(f"/v1/jobs/{job_id}", headers=self.headers)
        assert answer.status_code == 204, answer.text
        assert self.outcome(job_id)["state"] == "canceled"
        return time.monotonic() - started

    def events(self, job_id: str, *names: str) -> list[dict[str, Any]]:
        """Return what was logged of a job by these names."""
        lines = [json.loads(line) for line in self.service.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("job") == job_id and line["event"] in names]

    def starts(self, job_id: str) -> list[dict[str, Any]]:
        """Return what was logged when workers began the job or parts of it."""
        return self.events(job_id, "job_started", "part_started")

    def fragments(self, job_id: str) -> dict[str, int]:
        """Return when each fragment of a render was written."""
        folder = self.service.data_dir / "jobs" / job_id / "segments"
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.m4s")}

    def worker_of(self, job_id: str) -> Worker:
        """Return the worker that began the job, or a part of it, most recently."""
        pid = int(self.starts(job_id)[-1]["worker"].rsplit(":", 1)[1])
        return next(worker for worker in self.service.workers if worker.child == pid)
