"""What is known of the job table while it fails now and then."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import OperationalError

from app.errors import DataFolderInUse, NotReady
from app.jobs import forever, records
from app.jobs.job import Job, JobKind, NewJob, new_id
from app.jobs.records import Records
from app.jobs.table import JobTable
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def watched(table: JobTable, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Records]:
    monkeypatch.setattr(records, "CHECK_SECONDS", 0.005)
    monkeypatch.setattr(records, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(forever, "AGAIN_SECONDS", 0.01)
    watched = Records(table)
    watching = asyncio.create_task(watched.watch())
    yield watched
    watching.cancel()
    await asyncio.wait({watching})


def ready(records: Records) -> bool:
    try:
        records.check("read", "write")
    except NotReady:
        return False
    return True


@pytest.mark.parametrize("error", [OSError("too many open files"), RuntimeError("can't start new thread")])
async def test_the_table_is_watched_on_whatever_it_failed_of(
    watched: Records, table: JobTable, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def check() -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(table, "check", check)
        await until(lambda: not ready(watched))
    await until(lambda: ready(watched))


async def test_a_service_whose_table_another_one_has_taken_ends(
    watched: Records, table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> None:
        raise DataFolderInUse("Another service uses this database.")

    ended = asyncio.Event()
    monkeypatch.setattr(records, "end_process", ended.set)
    monkeypatch.setattr(table, "check", check)
    await until(ended.is_set)


async def test_a_table_that_is_read_but_takes_no_writes_is_not_ready_until_it_does(
    watched: Records, table: JobTable
) -> None:
    full = [True]

    def save(job: Job) -> bool:
        if full:
            raise OperationalError("update", {}, Exception("database or disk is full"))
        return table.save(job)

    job = table.insert(NewJob(new_id(), JobKind.RENDER, "anna"))
    saving = asyncio.create_task(watched.write(lambda: save(job)))
    await until(lambda: not ready(watched))
    for _ in range(20):
        await asyncio.sleep(0.005)
        assert not ready(watched)
        watched.check("read")  # what is sent may be refused for a better reason: a volume that is full
    full.clear()
    assert await saving
    await until(lambda: ready(watched))
