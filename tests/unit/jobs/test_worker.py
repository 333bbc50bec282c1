from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.jobs import worker as worker_module
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, JobProgress, NewJob, new_id
from app.jobs.runner import JobStats
from app.jobs.table import JobTable
from app.jobs.worker import Worker
from app.progress import Progress


class Clock:
    """Stands in for the module ``time``; it moves when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class ResumedRender:
    """A render whose first 504 frames are there from an earlier attempt, and which makes 25 a second."""

    def __init__(self, table: JobTable, clock: Clock) -> None:
        self.table, self.clock = table, clock
        self.seen: list[JobProgress] = []
        self.worker: Worker

    def load(self) -> Mapping[str, Any]:
        return {}

    def run(self, job: Job, progress: Progress) -> JobStats:
        progress(0, 0)
        for done in range(504, 600, 25):
            self.clock.now += 1
            progress(done, 1800)
            self.seen.append(self.table.get(job.id).progress)
        self.worker.stop()
        return JobStats()


def test_the_speed_of_a_resumed_render_is_that_of_the_present_attempt(
    table: JobTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(worker_module, "time", clock)
    table.insert(NewJob(new_id(), JobKind.RENDER, "anna", {}))
    runner = ResumedRender(table, clock)
    runner.worker = Worker(table, DataFolder(tmp_path / "data"), runner, lambda _: None)
    runner.worker.run()
    assert [round(progress.fps) for progress in runner.seen] == [0, 25, 25, 25]
    assert runner.seen[0].eta_seconds is None
    assert runner.seen[-1].eta_seconds == pytest.approx((1800 - 579) / 25)
