"""What those who follow a job, or wait for it, are told, although nothing may be written down."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from app.errors import ShuttingDown, StorageFull
from app.jobs.job import Job, JobKind, JobState
from tests.support.scheduling import Service, running
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.anyio


async def test_who_follows_a_job_sees_it_from_start_to_end(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await service.submit()
        job_id, seen = await service.submit(10.0), list[tuple[str, int]]()

        async def follow() -> None:
            async with aclosing(service.scheduler.follow(job_id)) as news:
                async for job in news:
                    seen.append((job.state, job.frames_done))

        following = asyncio.create_task(follow())
        while service.pool.running:
            pretended = service.pool.running[0]
            if pretended.call.method == "encode":
                pretended.told(50, 250)
                await service.settle()
            service.pool.finish(pretended)
            await service.settle()
        await following
        assert seen[0] == ("queued", 0)
        assert ("running", 50) in seen
        assert seen[-1] == ("succeeded", 250)


async def test_who_follows_is_told_that_the_service_stops(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit()
        async with aclosing(service.scheduler.follow(job_id)) as news:
            await anext(news)
            service.scheduler.close()
            with pytest.raises(ShuttingDown):
                await anext(news)


@contextmanager
def nothing_written_down(service: Service) -> Iterator[None]:
    """Have the table take nothing while the block lasts, as on a full volume."""

    def refuse(job: Job) -> bool:
        raise OperationalError("update", {}, Exception("database or disk is full"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.jobs.records.RETRY_SECONDS", 0.01)
        patch.setattr("app.jobs.scheduler.NOTE_SECONDS", 0.02)
        patch.setattr(service.table, "save", refuse)
        yield


async def test_who_waits_hears_of_a_failure_that_cannot_be_written_down_yet(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit()
        with nothing_written_down(service):
            service.pool.refuse(service.pool.find(job_id), StorageFull("The volume is full."))
            async with asyncio.timeout(DEADLINE), aclosing(service.scheduler.follow(job_id)) as news:
                states = [job.state async for job in news]
            assert states[-1] is JobState.FAILED
            assert service.table.get(job_id).state is JobState.RUNNING
        await service.settle()
        assert service.table.get(job_id).state is JobState.FAILED


async def test_who_waits_hears_of_a_success_when_it_is_written_down_and_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit(kind=JobKind.AVATAR)
        states: list[JobState] = []

        async def follow() -> None:
            async for job in service.scheduler.follow(job_id):
                states.append(job.state)
                if job.state is JobState.SUCCEEDED:
                    assert service.table.get(job_id).state is JobState.SUCCEEDED
                    assert [ended.job.id for ended in service.ended] == [job_id]

        following = asyncio.create_task(follow())
        await service.settle()
        with nothing_written_down(service):
            service.pool.finish(service.pool.find(job_id))
            await asyncio.sleep(0.05)
            assert JobState.SUCCEEDED not in states
        async with asyncio.timeout(DEADLINE):
            await following
        assert states[-1] is JobState.SUCCEEDED


async def test_a_job_begins_and_is_canceled_although_nothing_can_be_written_down(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        first = await service.submit()
        second = await service.submit()
        with nothing_written_down(service):
            async with asyncio.timeout(DEADLINE):
                await service.scheduler.cancel(first)
                while not service.methods(second):  # noqa: ASYNC110 - no events
                    await asyncio.sleep(0.01)
                service.pool.refuse(service.pool.find(second), StorageFull("The volume is full."))
                states = [job.state async for job in service.scheduler.follow(second)]
            assert states[-1] is JobState.FAILED
        await service.settle()
        stored = [service.table.get(job_id).state for job_id in (first, second)]
        assert stored == [JobState.CANCELED, JobState.FAILED]
