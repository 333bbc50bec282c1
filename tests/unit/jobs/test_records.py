"""What is known of the job table while it fails now and then."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import OperationalError

from app.errors import NotReady
from app.jobs import records
from app.jobs.job import Job, JobKind, NewJob, new_id
from app.jobs.records import Records
from app.jobs.table import JobTable
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def watched(table: JobTable, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Records]:
    monkeypatch.setattr(records, "CHECK_SECONDS", 0.005)
    monkeypatch.setattr(records, "RETRY_SECONDS", 0.01)
    watched = Records(table)
    watching = asyncio.create_task(watched.watch())
    yield watched
    watching.cancel()
    await asyncio.wait({watching})


def ready(records: Records) -> bool:
    try:
        records.check_writes()
    except NotReady:
        return False
    return True


async def test_the_table_is_watched_on_when_its_file_could_not_be_looked_at(
    watched: Records, table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> None:
        raise OSError("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(table, "check", check)
        await until(lambda: not ready(watched))
    await until(lambda: ready(watched))


async def test_a_table_that_is_read_but_takes_no_writes_is_not_ready_until_it_does(
    watched: Records, table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(_: Job) -> bool:
        raise OperationalError("update", {}, Exception("database or disk is full"))

    job = table.insert(NewJob(new_id(), JobKind.RENDER, "anna"))
    with monkeypatch.context() as patch:
        patch.setattr(table, "save", save)
        saving = asyncio.create_task(watched.save(job))
        await until(lambda: not ready(watched))
        for _ in range(20):
            await asyncio.sleep(0.005)
            assert not ready(watched)
            watched.check()  # what is sent may be refused for a better reason: a volume that is full
    assert await saving
    await until(lambda: ready(watched))
