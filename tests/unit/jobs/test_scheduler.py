import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

import app.jobs.job
from app.errors import NoFace, QueueFull, ShuttingDown, StorageFull
from app.jobs.ended import Ended
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, JobState, NewJob, new_id
from app.jobs.limits import Limits
from app.jobs.pool import Answer, Call, Told
from app.jobs.scheduler import Scheduler
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from tests.support.pretending import PretendingPool

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Service:
    """A scheduler on a pool that pretends."""

    scheduler: Scheduler
    pool: PretendingPool
    table: JobTable
    files: DataFolder
    ended: list[Ended] = field(default_factory=list)

    async def submit(
        self,
        seconds: float = 3.0,
        *,
        owner: str | None = None,
        waited_for: bool = False,
        kind: JobKind = JobKind.RENDER,
        video_of: str = "",
    ) -> str:
        """Submit a job, perhaps one that brings the video of an implicit avatar; return its id."""
        params = {"seconds": seconds} | ({"video": "me.mp4"} if video_of else {})
        new = NewJob(new_id(), kind, video_of or new_id(), params, owner=owner, waited_for=waited_for)
        self.files.job(new.id).mkdir(parents=True)
        self.files.upload(new.id).write_bytes(b"sound")
        await self.scheduler.submit(new)
        await self.settle()
        return new.id

    async def settle(self) -> None:
        """Wait until nothing happens any more but what the test is to answer."""
        scheduler, quiet = self.scheduler, 0
        while quiet < 3:
            busy = len(scheduler._tasks) > len(scheduler._answers) or scheduler._wake.is_set()
            busy = busy or any(each.answer.done() for each in self.pool.running)
            quiet = 0 if busy else quiet + 1
            await asyncio.sleep(0)
            if busy:
                await asyncio.sleep(0.0005)

    async def finish(self, job_id: str, segments: int | None = None) -> None:
        """Answer the call of a job that runs."""
        self.pool.finish(self.pool.find(job_id), segments)
        await self.settle()

    async def die(self, job_id: str) -> None:
        """Have the worker of a job's call die."""
        self.pool.die(self.pool.find(job_id))
        await self.settle()

    async def finish_all(self) -> list[str]:
        """Answer all calls until none is left; return the ids of the jobs in the order of the calls."""
        begun = len(self.pool.history)
        while self.pool.running:
            self.pool.finish(self.pool.running[0])
            await self.settle()
        return [call.job_id for call in self.pool.history[begun:]]

    async def job(self, job_id: str) -> Job:
        """Return a job as it stands."""
        return await self.scheduler.get(job_id)

    def methods(self, job_id: str) -> list[str]:
        """Return the methods of a job's calls until now."""
        return [call.method for call in self.pool.history if call.job_id == job_id]


@asynccontextmanager
async def running(
    root: Path,
    workers: int = 1,
    pool: PretendingPool | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Service]:
    """Run a scheduler on a data folder for as long as the block lasts."""
    files = DataFolder(root)
    engine: Engine = open_database(files.database)
    table, pool, ended = JobTable(engine), pool or PretendingPool(workers), list[Ended]()
    scheduler = Scheduler(table, files, pool, limits or Limits(queued=2000), on_ended=ended.append)
    await scheduler.start()
    service = Service(scheduler, pool, table, files, ended)
    await service.settle()
    try:
        yield service
    finally:
        await scheduler.stop()
        engine.dispose()


async def test_a_render_is_prepared_encoded_and_joined_and_an_avatar_is_made_in_one(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        render, avatar = await service.submit(), await service.submit(kind=JobKind.AVATAR)
        await service.finish_all()
        assert service.methods(render) == ["prepare", "encode", "finish"]
        assert service.methods(avatar) == ["build_avatar"]
        job = await service.job(render)
        assert (job.state, job.attempts, job.progress.fraction) == (JobState.SUCCEEDED, 1, 1.0)
        assert [ended.job.id for ended in service.ended] == [render, avatar]
        assert (service.ended[0].frames, service.ended[0].media_seconds) == (75, 3.0)
        assert not service.files.upload(render).exists()


async def test_jobs_of_one_kind_are_done_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        submitted = [await service.submit() for _ in range(4)]
        order = [service.pool.history[0].job_id, *await service.finish_all()]
        assert list(dict.fromkeys(order)) == submitted
        assert order == [job_id for job_id in submitted for _ in range(3)]


async def test_who_waits_comes_before_a_batch(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        first, second = await service.submit(), await service.submit()
        waits = await service.submit(waited_for=True)
        await service.finish(first)
        assert [each.call.job_id for each in service.pool.running] == [waits]
        order = await service.finish_all()
        assert list(dict.fromkeys(order)) == [waits, first, second]


async def test_a_batch_is_never_left_out_for_long(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        held = await service.submit(waited_for=True)
        batch = await service.submit()
        for _ in range(20):
            await service.submit(waited_for=True)
        order = await service.finish_all()
        assert order.index(batch) <= 16
        assert held in order


async def test_a_short_render_starts_within_one_segment_behind_an_hour_long_one(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        long = await service.submit(3600.0)
        await service.finish(long)
        encoding = service.pool.find(long)
        assert (len(encoding.call.segments), encoding.gave_way) == (363, False)
        short = await service.submit(waited_for=True)
        assert encoding.gave_way
        await service.finish(long, segments=1)
        assert service.pool.running[0].call.job_id == short
        for _ in range(3):
            await service.finish(short)
        assert (await service.job(short)).state is JobState.SUCCEEDED
        assert service.pool.find(long).call.segments == list(range(1, 363))
        await service.finish_all()
        assert (await service.job(long)).state is JobState.SUCCEEDED


async def test_a_long_render_is_not_forgotten_behind_many_short_ones(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        long = await service.submit(100.0)
        await service.finish(long)
        for _ in range(20):
            await service.submit(waited_for=True)
        await service.finish(long, segments=1)
        order = await service.finish_all()
        assert order.index(long) <= 12


async def test_keys_take_turns_and_none_has_more_under_way_than_its_share(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2, limits=Limits(running_per_key=1)) as service:
        a = [await service.submit(owner="a") for _ in range(4)]
        b = [await service.submit(owner="b") for _ in range(2)]
        states = [(await service.job(job_id)).state for job_id in (*a, *b)]
        assert states.count(JobState.RUNNING) == 2
        while service.pool.running:
            owners = [(await service.job(each.call.job_id)).owner for each in service.pool.running]
            assert len(set(owners)) == len(owners)
            service.pool.finish(service.pool.running[0])
            await service.settle()
        assert {(await service.job(job_id)).state for job_id in (*a, *b)} == {JobState.SUCCEEDED}


async def test_a_long_render_is_spread_over_all_workers_and_no_segment_is_made_twice(tmp_path: Path) -> None:
    async with running(tmp_path, workers=3) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        assert len(service.pool.running) == 3
        await service.finish_all()
        encoded = [index for call in service.pool.history for index in call.segments]
        assert sorted(encoded) == list(range(33))
        assert (await service.job(long)).state is JobState.SUCCEEDED


async def test_a_worker_that_joins_takes_a_part_of_what_another_one_has(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        encoding = service.pool.find(long)
        service.pool.grow(2)
        await service.settle()
        assert encoding.gave_way
        service.pool.finish(encoding, segments=1)
        await service.settle()
        assert len(service.pool.running) == 2


async def test_a_short_render_has_one_worker_at_a_time(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as service:
        short = await service.submit(30.0)
        await service.finish(short)
        assert len(service.pool.running) == 1


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


async def test_a_render_that_killed_a_worker_is_given_to_one_at_a_time(tmp_path: Path) -> None:
    async with running(tmp_path, workers=4) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        assert len(service.pool.running) == 4
        service.pool.die(service.pool.running[0])
        await service.settle()
        for pretended in service.pool.running[:]:
            service.pool.leave(pretended)
        await service.settle()
        assert len(service.pool.running) == 1


async def test_work_that_was_given_back_is_no_attempt(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit()
        for _ in range(5):
            service.pool.leave(service.pool.find(job_id))
            await service.settle()
        await service.finish_all()
        job = await service.job(job_id)
        assert (job.state, job.attempts, job.deaths) == (JobState.SUCCEEDED, 1, 0)


async def test_a_refused_file_ends_its_job_and_all_its_calls(tmp_path: Path) -> None:
    async with running(tmp_path, workers=3) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        service.pool.refuse(service.pool.running[1], NoFace("No face."))
        await service.settle()
        job = await service.job(long)
        assert (job.state, job.error) == (JobState.FAILED, NoFace("No face.").problem())
        assert service.pool.running == []
        assert [ended.job.state for ended in service.ended] == ["failed"]


async def test_a_canceled_job_is_gone_from_all_workers_and_leaves_no_files(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as service:
        long = await service.submit(300.0)
        await service.finish(long)
        waiting = await service.submit()
        for job_id in (long, waiting):
            await service.scheduler.cancel(job_id)
            await service.settle()
            job = await service.job(job_id)
            assert (job.state, job.error) == (JobState.CANCELED, None)
            assert job.cancel_requested_at is not None
            assert not service.files.job(job_id).exists()
        assert service.pool.running == []


async def test_a_job_that_is_canceled_as_its_call_begins_gives_its_worker_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:
        take = service.pool.call

        def call_and_cancel(call: Call, told: Told) -> Coroutine[Any, Any, Answer]:
            answer, job = take(call, told), service.scheduler._jobs[call.job_id]
            asyncio.get_running_loop().call_soon(service.scheduler._settle, job, JobState.CANCELED)
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(service.pool, "call", call_and_cancel)
            first = await service.submit()
        assert (await service.job(first)).state is JobState.CANCELED
        assert service.pool.idle == 1
        second = await service.submit()
        assert service.methods(second) == ["prepare"]


async def test_canceling_a_finished_job_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit()
        await service.finish_all()
        before = await service.job(job_id)
        assert await service.scheduler.cancel(job_id) == before


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


async def test_who_follows_a_job_sees_it_from_start_to_end(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await service.submit()
        job_id, seen = await service.submit(10.0), list[tuple[str, int]]()

        async def follow() -> None:
            async with aclosing(service.scheduler.follow(job_id)) as news:
                async for job in news:
                    seen.append((job.state, job.progress.frames_done))

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
            async with asyncio.timeout(10), aclosing(service.scheduler.follow(job_id)) as news:
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
        async with asyncio.timeout(10):
            await following
        assert states[-1] is JobState.SUCCEEDED


async def test_a_job_begins_and_is_canceled_although_nothing_can_be_written_down(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        first = await service.submit()
        second = await service.submit()
        with nothing_written_down(service):
            async with asyncio.timeout(10):
                await service.scheduler.cancel(first)
                while not service.methods(second):  # noqa: ASYNC110 - no events
                    await asyncio.sleep(0.01)
                service.pool.refuse(service.pool.find(second), StorageFull("The volume is full."))
                states = [job.state async for job in service.scheduler.follow(second)]
            assert states[-1] is JobState.FAILED
        await service.settle()
        stored = [service.table.get(job_id).state for job_id in (first, second)]
        assert stored == [JobState.CANCELED, JobState.FAILED]


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
        with pytest.raises(QueueFull, match="2 jobs of this API key"):
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


async def test_a_render_that_brings_its_video_is_one_job_whose_progress_tells_of_both(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit(video_of="anna")
        fractions = []
        service.pool.find(job_id).told(5, 10 + 75)
        while service.pool.running:
            fractions.append((await service.job(job_id)).progress.fraction)
            await service.finish(job_id)
        assert service.methods(job_id) == ["build_avatar", "prepare", "encode", "finish"]
        assert fractions == [5 / 85, 10 / 85, 10 / 85, 1.0]
        job = await service.job(job_id)
        assert (job.state, job.progress.frames_done, job.progress.frames_total) == ("succeeded", 85, 85)
        assert service.ended[0].frames == 85


async def test_of_renders_that_bring_the_same_video_one_at_a_time_makes_the_avatar(tmp_path: Path) -> None:
    async with running(tmp_path, workers=3) as service:
        first, second = [await service.submit(video_of="anna") for _ in range(2)]
        other = await service.submit(video_of="ben")
        assert [service.methods(job_id) for job_id in (first, second, other)] == [
            ["build_avatar"], [], ["build_avatar"],
        ]  # fmt: skip
        service.pool.refuse(service.pool.find(first), NoFace("No face."))
        await service.settle()
        assert service.methods(second) == ["build_avatar"]
        await service.finish_all()
        assert [(await service.job(job_id)).state for job_id in (first, second, other)] == [
            "failed", "succeeded", "succeeded",
        ]  # fmt: skip


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


class _Leaping(datetime):
    """A clock that is set an hour back, then two forward, whenever it is looked at."""

    looks = itertools.count()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # of the class it stands for
        return datetime.now(tz) + timedelta(hours=(-1, 2)[next(cls.looks) % 2])


async def test_a_clock_that_is_set_meanwhile_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.jobs.job, "datetime", _Leaping)
    async with running(tmp_path, workers=2) as service:
        jobs = [await service.submit(seconds) for seconds in (3.0, 100.0, 3.0)]
        await service.die(jobs[0])
        await service.finish_all()
        ends = [await service.job(job_id) for job_id in jobs]
        assert [job.state for job in ends] == [JobState.SUCCEEDED] * 3
        assert [job.attempts for job in ends] == [2, 1, 1]
        assert all(ended.wait_seconds >= 0 and ended.work_seconds >= 0 for ended in service.ended)
        assert all(job.progress.fps >= 0 for job in ends)
