"""What counts against a job, and what it costs: deaths of workers and of the service, work given back."""

import threading
import time
from pathlib import Path

import pytest

from app.jobs import scheduler
from app.jobs.job import Job, JobState
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from tests.support.pretending import PretendingPool
from tests.support.scheduling import running

pytestmark = pytest.mark.anyio


async def test_a_death_is_an_attempt_and_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit(30.0)
        await service.finish(job_id)
        service.pool.there[job_id].update({0, 1})
        await service.die(job_id)
        job = await service.job(job_id)
        assert (job.state, job.attempts, job.deaths) == (JobState.RUNNING, 2, 1)
        await service.finish_all()
        assert (await service.job(job_id)).state is JobState.SUCCEEDED


async def test_a_job_fails_after_three_deaths_and_the_others_go_on(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as service:
        bad, good = await service.submit(), await service.submit()
        for _ in range(3):
            await service.die(bad)
        job = await service.job(bad)
        assert (job.state, job.attempts, job.deaths) == (JobState.FAILED, 3, 3)
        assert job.error is not None
        assert job.error["type"].endswith(":render-process-crashed")
        assert "SIGSEGV" in job.error["detail"]
        assert not service.files.job(bad).exists()
        await service.finish_all()
        job = await service.job(good)
        assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


async def test_a_render_that_killed_a_worker_is_given_to_one_at_a_time_until_what_killed_it_is_there(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, workers=4) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        assert len(service.pool.running) == 4
        died = service.pool.running[1]
        service.pool.die(died)
        await service.settle()
        for pretended in service.pool.running[:]:
            service.pool.leave(pretended)
        await service.settle()
        for index in died.call.segments:
            assert service.pool.find(long).call.segments == [index]
            await service.finish(long)
        assert len(service.pool.running) == 4


async def test_a_machine_that_takes_all_workers_of_a_render_with_it_is_one_death(tmp_path: Path) -> None:
    async with running(tmp_path, workers=4) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        for pretended in service.pool.running[:]:
            service.pool.die(pretended, stalled=True)
        await service.settle()
        job = await service.job(long)
        assert (job.state, job.attempts, job.deaths) == (JobState.RUNNING, 2, 1)
        await service.die(long)
        assert (await service.job(long)).deaths == 2
        await service.finish_all()
        assert (await service.job(long)).state is JobState.SUCCEEDED


@pytest.mark.parametrize("answered", [0, 1, 2])
async def test_a_render_that_brings_its_video_goes_on_after_a_death_in_each_of_its_steps(
    tmp_path: Path, answered: int
) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit(video_of="anna")
        for _ in range(answered):
            await service.finish(job_id)
        await service.die(job_id)
        await service.finish_all()
        job = await service.job(job_id)
        assert (job.state, job.attempts, job.deaths) == ("succeeded", 2, 1)
        assert service.methods(job_id).count("build_avatar") == (2 if answered == 0 else 1)


async def test_work_that_was_given_back_is_no_attempt(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit()
        for _ in range(5):
            service.pool.leave(service.pool.find(job_id))
            await service.settle()
        await service.finish_all()
        job = await service.job(job_id)
        assert (job.state, job.attempts, job.deaths) == (JobState.SUCCEEDED, 1, 0)


async def test_a_stopped_service_goes_on_where_it_was_and_counts_no_attempt(tmp_path: Path) -> None:
    pool = PretendingPool()
    async with running(tmp_path, pool=pool) as service:
        job_id = await service.submit(30.0)
        await service.finish(job_id)
        pool.there[job_id].update({0, 1})
    async with running(tmp_path, pool=pool) as service:
        assert service.methods(job_id)[-1] == "prepare"
        await service.finish(job_id)
        assert pool.find(job_id).call.segments == [2, 3, 4, 5]
        await service.finish_all()
        job = await service.job(job_id)
        assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


async def test_all_jobs_are_noted_at_the_stop_though_one_ends_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "STOP_SECONDS", 0.05)
    async with running(tmp_path, workers=3) as service:
        jobs, save, ended = [await service.submit() for _ in range(3)], service.table.save, threading.Event()

        def save_late(job: Job) -> bool:
            if job.state is JobState.CANCELED:
                ended.wait(30)
            elif job.state is JobState.QUEUED:
                ended.set()
                time.sleep(0.1)
            return save(job)

        monkeypatch.setattr(service.table, "save", save_late)
        await service.scheduler.cancel(jobs[1])
    engine = open_database(service.files.database)
    assert [JobTable(engine).get(job_id).attempts for job_id in jobs[::2]] == [0, 0]
    engine.dispose()


async def test_deaths_of_the_service_are_no_deaths_of_the_job(tmp_path: Path) -> None:
    pool, job_id = PretendingPool(), ""
    for _ in range(5):
        async with running(tmp_path, pool=pool) as service:
            job_id = job_id or await service.submit()
            service.scheduler._jobs.clear()  # as if it were killed: nothing is written down at its end
    async with running(tmp_path, pool=pool) as service:
        await service.finish_all()
        job = await service.job(job_id)
        assert (job.state, job.attempts, job.deaths) == (JobState.SUCCEEDED, 6, 0)
