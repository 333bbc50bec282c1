from dataclasses import replace
from pathlib import Path

import pytest

from app.avatars.store import AvatarStore
from app.jobs.files import DataFolder
from app.jobs.housekeeping import Housekeeper
from app.jobs.job import Job, JobKind, JobState, NewJob, new_id, utc_now
from app.jobs.table import JobTable


@pytest.fixture
def files(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def housekeeper(table: JobTable, files: DataFolder, job_ttl: float) -> Housekeeper:
    return Housekeeper(table, files, AvatarStore(files.root / "avatars"), job_ttl)


def ended(table: JobTable, files: DataFolder, state: JobState) -> Job:
    job = table.insert(NewJob(new_id(), JobKind.RENDER, "anna"))
    files.job(job.id).mkdir(parents=True)
    files.upload(job.id).write_bytes(b"x")
    table.save(replace(job, state=state, finished_at=utc_now()))
    return job


def test_jobs_expire_with_their_files_and_not_before_their_time(table: JobTable, files: DataFolder) -> None:
    job = ended(table, files, JobState.SUCCEEDED)
    housekeeper(table, files, job_ttl=60).expire()
    assert table.get(job.id)
    assert files.upload(job.id).exists()
    housekeeper(table, files, job_ttl=0).expire()
    assert table.page().jobs == []
    assert not files.job(job.id).exists()


def test_a_sweep_takes_what_crashes_have_left_and_nothing_else(table: JobTable, files: DataFolder) -> None:
    kept, failed = ended(table, files, JobState.SUCCEEDED), ended(table, files, JobState.FAILED)
    waiting = table.insert(NewJob(new_id(), JobKind.RENDER, "anna"))
    files.job(waiting.id).mkdir()
    files.job("stray").mkdir()
    unfinished = files.root / "avatars" / ".new-anna-1234"
    unfinished.mkdir(parents=True)
    housekeeper(table, files, job_ttl=60).sweep()
    assert {path.name for path in (files.root / "jobs").iterdir()} == {kept.id, waiting.id}
    assert table.get(failed.id).state is JobState.FAILED
    assert not unfinished.exists()
