import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.avatars.store import AvatarStore
from app.errors import AvatarNotFound, MouthpieceError, StorageReadOnly
from app.jobs.files import DataFolder
from app.jobs.housekeeping import Housekeeper
from app.jobs.job import Job, JobKind, JobState, NewJob, new_id, utc_now
from app.jobs.scheduler import Scheduler
from app.jobs.table import JobTable
from app.jobs.turn import Limits
from app.settings import Settings
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.pretending import PretendingPool
from tests.support.waiting import until


@pytest.fixture
def files(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def housekeeper(
    table: JobTable, files: DataFolder, *, job_ttl: float = 60, avatar_ttl: float = 60
) -> Housekeeper:
    store = AvatarStore(files.root / "avatars")
    scheduler = Scheduler(table, files, PretendingPool(), Limits())
    return Housekeeper(table, files, store, scheduler.forget_files, job_ttl=job_ttl, avatar_ttl=avatar_ttl)


def ended(table: JobTable, files: DataFolder, state: JobState) -> Job:
    job = table.insert(NewJob(new_id(), JobKind.RENDER, "anna"))
    files.job(job.id).mkdir(parents=True)
    files.upload(job.id).write_bytes(b"x")
    table.save(replace(job, state=state, finished_at=utc_now()))
    return job


def test_jobs_expire_with_their_files_and_not_before_their_time(table: JobTable, files: DataFolder) -> None:
    job = ended(table, files, JobState.SUCCEEDED)
    asyncio.run(housekeeper(table, files).expire())
    assert table.get(job.id)
    assert files.upload(job.id).exists()
    asyncio.run(housekeeper(table, files, job_ttl=0).expire())
    assert table.page().jobs == []
    assert not files.job(job.id).exists()


def test_the_longest_time_that_may_be_set_can_be_reckoned_with(table: JobTable, files: DataFolder) -> None:
    set_to = Settings(job_ttl=1e10, implicit_avatar_ttl=1e10)
    job = ended(table, files, JobState.SUCCEEDED)
    asyncio.run(
        housekeeper(table, files, job_ttl=set_to.job_ttl, avatar_ttl=set_to.implicit_avatar_ttl).expire()
    )
    assert table.get(job.id)
    for longer in ({"job_ttl": 1e11}, {"implicit_avatar_ttl": 1e11}):
        with pytest.raises(ValidationError, match="less than or equal"):
            Settings.model_validate(longer)


def test_a_sweep_takes_what_crashes_have_left_and_nothing_else(table: JobTable, files: DataFolder) -> None:
    kept, failed = ended(table, files, JobState.SUCCEEDED), ended(table, files, JobState.FAILED)
    waiting = table.insert(NewJob(new_id(), JobKind.RENDER, "anna"))
    files.job(waiting.id).mkdir()
    files.job("stray").mkdir()
    unfinished = files.root / "avatars" / ".new-anna-1234"
    unfinished.mkdir(parents=True)
    housekeeper(table, files).sweep()
    assert {path.name for path in (files.root / "jobs").iterdir()} == {kept.id, waiting.id}
    assert table.get(failed.id).state is JobState.FAILED
    assert not unfinished.exists()


def test_a_sweep_with_an_empty_database_deletes_no_job_s_files(table: JobTable, files: DataFolder) -> None:
    files.job("of-another-database").mkdir(parents=True)
    housekeeper(table, files).sweep()
    assert files.job("of-another-database").exists()


@pytest.mark.anyio
async def test_expiry_goes_on_after_the_volume_could_not_be_read(
    table: JobTable, files: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def unused(store: AvatarStore, since: datetime) -> Iterator[str]:
        failed.set()
        raise OSError("stale file handle")

    monkeypatch.setattr("app.jobs.forever.AGAIN_SECONDS", 0.01)
    keeper = housekeeper(table, files, avatar_ttl=0.02)
    with monkeypatch.context() as patch:
        patch.setattr(AvatarStore, "unused", unused)
        keeping = asyncio.create_task(keeper.run())
        await until(failed.is_set)
    put_made_up(keeper.avatars, replace(made_up_manifest("implicit-idle"), implicit=True))
    await until(lambda: not keeper.avatars.list())
    keeping.cancel()
    await asyncio.wait({keeping})


def test_implicit_avatars_go_when_they_were_not_used_for_their_time_and_no_others(
    table: JobTable, files: DataFolder
) -> None:
    store = AvatarStore(files.root / "avatars")
    for name in ("anna", "implicit-idle", "implicit-used", "implicit-busy", "implicit-asked-for"):
        implicit = name.startswith("implicit") and name != "implicit-asked-for"
        folder = put_made_up(store, replace(made_up_manifest(name), implicit=implicit))
        os.utime(folder / "avatar.json", (0, 0))
    table.insert(NewJob(new_id(), JobKind.RENDER, "implicit-busy"))
    store.use("implicit-used")

    unfinished = store.root / ".new-anna-1234"  # by a worker that died
    unfinished.mkdir()

    asyncio.run(housekeeper(table, files).expire())

    assert not unfinished.exists()
    assert [manifest.id for manifest in store.list()] == [
        "anna", "implicit-asked-for", "implicit-busy", "implicit-used",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [AvatarNotFound("There is none."), StorageReadOnly("It may not.")])
def test_an_avatar_that_cannot_be_deleted_keeps_neither_others_nor_leftovers(
    table: JobTable, files: DataFolder, monkeypatch: pytest.MonkeyPatch, error: MouthpieceError
) -> None:
    store = AvatarStore(files.root / "avatars")
    for name in ("implicit-one", "implicit-two"):
        folder = put_made_up(store, replace(made_up_manifest(name), implicit=True))
        os.utime(folder / "avatar.json", (0, 0))
    unfinished = store.root / ".new-anna-1234"
    unfinished.mkdir()
    delete = AvatarStore.delete
    refused: list[str] = []

    def delete_second(store: AvatarStore, avatar_id: str) -> None:
        if not refused:
            refused.append(avatar_id)
            raise error
        delete(store, avatar_id)

    monkeypatch.setattr(AvatarStore, "delete", delete_second)
    with pytest.raises(StorageReadOnly) if isinstance(error, StorageReadOnly) else nullcontext():
        asyncio.run(housekeeper(table, files).expire())

    assert not unfinished.exists()
    assert [manifest.id for manifest in store.list()] == refused


def test_files_that_cannot_be_deleted_keep_no_others(
    table: JobTable, files: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [ended(table, files, JobState.SUCCEEDED) for _ in range(3)]
    forget = DataFolder.forget

    def forget_others(files: DataFolder, job_id: str) -> None:
        if job_id == jobs[1].id:
            raise PermissionError("It may not.")
        forget(files, job_id)

    monkeypatch.setattr(DataFolder, "forget", forget_others)
    asyncio.run(housekeeper(table, files, job_ttl=0).expire())
    assert [files.job(job.id).exists() for job in jobs] == [False, True, False]
