"""The queue: how long it may be, for all and for one key."""

import asyncio
from pathlib import Path

import pytest

from app.errors import QueueFull
from app.jobs.job import Job, JobKind, NewJob, new_id
from app.jobs.turn import Limits
from tests.support.scheduling import running

pytestmark = pytest.mark.anyio


async def test_a_full_queue_says_how_long_it_will_be(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(queued=1)) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        await service.submit()
        with pytest.raises(QueueFull) as refusal:
            service.scheduler.check_room(None)
        assert refusal.value.retry_after is not None
        assert 1 <= refusal.value.retry_after <= 600


async def test_the_queue_is_never_longer_than_its_limit_however_many_submit_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(queued=5)) as service:
        jobs = (NewJob(new_id(), JobKind.RENDER, "anna", {"seconds": 1.0}) for _ in range(40))
        answers = await asyncio.gather(*map(service.scheduler.submit, jobs), return_exceptions=True)
        assert sum(isinstance(answer, Job) for answer in answers) == 5
        assert sum(isinstance(answer, QueueFull) for answer in answers) == 35


async def test_one_key_does_not_fill_the_queue_for_the_others(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(queued=10, queued_per_key=2)) as service:
        await service.submit()
        for _ in range(2):
            await service.submit(owner="greedy")
        with pytest.raises(QueueFull, match=r"jobs of this API key are queued as may be \(2\)"):
            await service.submit(owner="greedy")
        service.scheduler.check_room("modest")
        service.scheduler.check_room(None)


async def test_a_thousand_jobs_wait_and_all_are_done(tmp_path: Path) -> None:
    async with running(tmp_path, workers=8) as service:
        for _ in range(1000):
            await service.scheduler.submit(NewJob(new_id(), JobKind.RENDER, "anna", {"seconds": 1.0}))
        await service.settle()
        while service.pool.running:
            for pretended in service.pool.running[:]:
                service.pool.finish(pretended)
            await service.settle()
        assert {ended.job.state for ended in service.ended} == {"succeeded"}
        assert len(service.ended) == 1000
