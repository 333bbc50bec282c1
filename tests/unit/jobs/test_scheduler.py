"""What becomes of a job that no fault befalls: its calls, refusals and cancels, one job for two steps."""

import asyncio
import itertools
import threading
import time
from collections.abc import Coroutine
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

import app.jobs.job
from app import threads
from app.errors import NoFace, Unavailable
from app.jobs import filing, records, scheduler
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, JobState, NewJob
from app.jobs.pool import Answer, Call, Told
from app.jobs.table import JobPage, JobTable
from tests.support.pretending import PretendingPool
from tests.support.scheduling import running
from tests.support.waiting import DEADLINE, until

pytestmark = pytest.mark.anyio


async def test_a_render_is_prepared_encoded_and_joined_and_an_avatar_is_made_in_one(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        render, avatar = await service.submit(), await service.submit(kind=JobKind.AVATAR)
        await service.finish_all()
        assert service.methods(render) == ["prepare", "encode", "finish"]
        assert service.methods(avatar) == ["build_avatar"]
        job = await service.job(render)
        assert (job.state, job.attempts, job.fraction) == (JobState.SUCCEEDED, 1, 1.0)
        assert [ended.job.id for ended in service.ended] == [render, avatar]
        assert (service.ended[0].frames, service.ended[0].media_seconds) == (75, 3.0)
        assert not service.files.upload(render).exists()


async def test_a_list_of_one_state_has_no_job_that_has_left_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:
        first, second = await service.submit(), await service.submit()
        read = service.table.page(state=JobState.QUEUED)
        assert [job.id for job in read.jobs] == [second]
        service.pool.refuse(service.pool.find(first), NoFace("No face."))
        await service.settle()
        monkeypatch.setattr(service.table, "page", lambda **_: read)
        assert (await service.scheduler.page(state=JobState.QUEUED)).jobs == []
        (job,) = (await service.scheduler.page(state=None)).jobs
        assert job.state is JobState.RUNNING


async def test_a_list_has_the_jobs_that_have_entered_its_state_meanwhile_and_no_more_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:
        begun, *queued = [await service.submit() for _ in range(5)]
        monkeypatch.setattr(service.table, "page", lambda **_: JobPage([], None))
        (found,) = (await service.scheduler.page(state=JobState.RUNNING)).jobs
        assert found.id == begun
        for which in ({"avatar_id": "nobody"}, {"cursor": found.number - 1}):
            assert (await service.scheduler.page(state=JobState.RUNNING, **which)).jobs == []
        first = await service.scheduler.page(state=JobState.QUEUED, limit=3)
        assert [job.id for job in first.jobs] == queued[:0:-1]
        rest = await service.scheduler.page(state=JobState.QUEUED, limit=3, cursor=first.next_cursor)
        assert ([job.id for job in rest.jobs], rest.next_cursor) == (queued[:1], None)


async def test_what_is_added_to_a_page_is_within_it(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        jobs = [await service.submit() for _ in range(5)]
        pages, cursor = list[list[str]](), None
        while len(pages) < 3:
            page = await service.scheduler.page(limit=2, cursor=cursor)
            pages.append([job.id for job in page.jobs])
            cursor = page.next_cursor
        assert (pages, cursor) == ([jobs[:2:-1], jobs[2:0:-1], jobs[:1]], None)


async def test_a_job_knows_how_many_are_queued_before_it(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        jobs = [await service.job(await service.submit()) for _ in range(205)]
        before = [service.scheduler.queued_before(job) for job in jobs]
        assert before == [0, 0, *range(1, 204)]


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


async def test_a_failure_is_on_record_before_its_files_go_and_is_told_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:
        save, files = service.table.save, list[bool]()

        def save_slowly(job: Job) -> bool:
            time.sleep(0.1)
            files.append(service.files.upload(job.id).exists())
            return save(job)

        job_id = await service.submit()
        monkeypatch.setattr(scheduler, "NOTE_SECONDS", 30.0)
        monkeypatch.setattr(service.table, "save", save_slowly)
        service.pool.refuse(service.pool.find(job_id), NoFace("No face."))
        async for job in service.scheduler.follow(job_id):
            told = job
        assert told.state is service.table.get(job_id).state is JobState.FAILED
        assert files == [True]
        assert not service.files.job(job_id).exists()


async def test_a_finished_job_keeps_its_files_until_the_one_that_replaces_it_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Job:
        raise OperationalError("insert", {}, Exception("database or disk is full"))

    def files() -> dict[str, list[str]]:
        folders = (tmp_path / "jobs").iterdir()
        return {each.name: sorted(path.read_text() for path in each.iterdir()) for each in folders}

    async with running(tmp_path) as service:
        job_id = await service.submit()
        await service.finish_all()
        for name, text in {job_id: "old", "arrival": "new"}.items():
            service.files.job(name).mkdir(exist_ok=True)
            service.files.upload(name).write_text(text)
        done = await service.job(job_id)
        new = NewJob(job_id, JobKind.RENDER, done.avatar_id, done.params)
        with monkeypatch.context() as patch:
            patch.setattr(service.table, "insert", full)
            with pytest.raises(OperationalError):
                await service.scheduler.submit(new, "arrival")
        await service.settle()
        assert await service.job(job_id) == done
        assert files() == {job_id: ["old"], "arrival": ["new"]}
        await service.scheduler.submit(new, "arrival")
        await service.settle()
        assert files() == {job_id: ["new"]}
        assert (await service.job(job_id)).number > done.number


async def test_what_an_earlier_service_left_of_a_render_is_its_own_only_once_a_worker_has_looked(
    tmp_path: Path,
) -> None:
    pool = PretendingPool()
    async with running(tmp_path, pool=pool) as service:
        job_id = await service.submit(100.0)
        await service.finish(job_id)
        assert service.scheduler.is_prepared(job_id)
        await service.finish(job_id, 1)
    async with running(tmp_path, pool=pool) as service:
        assert (await service.job(job_id)).state is JobState.RUNNING
        assert not service.scheduler.is_prepared(job_id)
        await service.finish(job_id)
        assert service.scheduler.is_prepared(job_id)
        await service.finish_all()
        assert not service.scheduler.is_prepared(job_id)


@pytest.mark.parametrize("deleting", ["keep_result", "forget"])
async def test_a_job_that_replaces_one_whose_files_are_being_deleted_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deleting: str
) -> None:
    goes_on, begun, delete = threading.Event(), threading.Event(), getattr(DataFolder, deleting)

    def slowly(files: DataFolder, job: Any) -> None:
        begun.set()
        assert goes_on.wait(DEADLINE)
        delete(files, job)

    monkeypatch.setattr(scheduler, "NOTE_SECONDS", 0.02)
    async with running(tmp_path) as service:
        job_id = await service.submit()
        with monkeypatch.context() as patch:
            patch.setattr(DataFolder, deleting, slowly)
            while not (job := await service.job(job_id)).state.is_terminal:
                if service.pool.running:
                    service.pool.finish(service.pool.find(job_id))
                await asyncio.sleep(0.005)
            if deleting == "forget":
                service.table.delete_finished(job_id)
                await service.scheduler.forget_files(job_id)
            await until(begun.is_set)
        service.files.job("arrival").mkdir()
        service.files.upload("arrival").write_text("new")
        new = NewJob(job_id, JobKind.RENDER, job.avatar_id, job.params)
        replacing = asyncio.create_task(service.scheduler.submit(new, "arrival"))
        await asyncio.sleep(0.05)
        goes_on.set()
        await replacing
        await service.scheduler.forget_files(job_id)  # by who has just deleted the one before it
        await service.settle()
        assert service.files.upload(job_id).read_text() == "new"


async def test_a_replacement_does_not_wait_for_ever_for_a_volume_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, keep_result = threading.Event(), DataFolder.keep_result

    def hang(files: DataFolder, job: NewJob) -> None:
        assert goes_on.wait(DEADLINE)
        keep_result(files, job)

    monkeypatch.setattr(filing, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(DataFolder, "keep_result", hang)
    async with running(tmp_path) as service:
        job_id = await service.submit()
        while not (job := await service.job(job_id)).state.is_terminal:
            if service.pool.running:
                service.pool.finish(service.pool.find(job_id))
            await asyncio.sleep(0.005)
        service.files.job("arrival").mkdir()
        with pytest.raises(Unavailable):
            await service.scheduler.submit(
                NewJob(job_id, JobKind.RENDER, job.avatar_id, job.params), "arrival"
            )
        assert service.files.job("arrival").exists()
        goes_on.set()


async def test_files_of_who_took_the_id_of_an_expired_job_and_has_ended_stay(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit()
        await service.finish_all()
        service.files.job(job_id).mkdir(exist_ok=True)
        service.files.upload(job_id, "video").write_text("new")
        await service.scheduler.forget_files(job_id)  # by who has expired the one before it
        await service.settle()
        assert service.files.job(job_id).exists()
        service.table.delete_finished(job_id)
        await service.scheduler.forget_files(job_id)
        await service.settle()
        assert not service.files.job(job_id).exists()


async def test_files_go_once_the_table_answers_and_what_has_arrived_before_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, get = [True], JobTable.get

    def ask(table: JobTable, job_id: str) -> Job:
        if away:
            raise OperationalError("select", {}, Exception("database is locked"))
        return get(table, job_id)

    monkeypatch.setattr(JobTable, "get", ask)
    monkeypatch.setattr(records, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(scheduler, "NOTE_SECONDS", 0.02)
    async with running(tmp_path) as service:
        for name in ("expired", "arrived"):
            service.files.job(name).mkdir(parents=True)
        await service.scheduler.forget_files("expired")
        await service.scheduler.forget_arrival("arrived")
        await until(lambda: not service.files.job("arrived").exists())
        assert service.files.job("expired").exists()
        away.clear()
        await service.settle()
        assert not service.files.job("expired").exists()


async def test_a_table_that_hangs_holds_up_no_thread_of_uploads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, get = threading.Event(), JobTable.get

    def hang(table: JobTable, job_id: str) -> Job:
        goes_on.wait(DEADLINE)
        return get(table, job_id)

    monkeypatch.setattr(JobTable, "get", hang)
    monkeypatch.setattr(scheduler, "NOTE_SECONDS", 0.01)
    async with running(tmp_path) as service:
        for number in range(20):
            await service.scheduler.forget_files(str(number))
        assert threads.UPLOADS.patient.borrowed_tokens == 0
        goes_on.set()
        await service.settle()


async def test_a_canceled_render_is_not_sent_while_its_end_is_not_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def late(job: Job) -> bool:
        return goes_on.wait(DEADLINE)

    monkeypatch.setattr(scheduler, "NOTE_SECONDS", 0.02)
    async with running(tmp_path) as service:
        job_id = await service.submit(100.0)
        await service.finish(job_id)
        assert service.scheduler.is_prepared(job_id)
        monkeypatch.setattr(service.table, "save", late)
        await service.scheduler.cancel(job_id)
        assert service.scheduler.is_open(job_id)
        assert not service.scheduler.is_prepared(job_id)
        goes_on.set()


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
async def test_a_cancel_is_answered_while_the_table_takes_no_writes_and_is_recorded_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: JobState
) -> None:
    def full(_: Job) -> bool:
        raise OperationalError("update", {}, Exception("database or disk is full"))

    monkeypatch.setattr(scheduler, "NOTE_SECONDS", 0.05)
    async with running(tmp_path) as service:
        jobs = [await service.submit() for _ in range(2)]
        (job_id,) = [each for each in jobs if (await service.job(each)).state is state]
        with monkeypatch.context() as patch:
            patch.setattr(service.table, "save", full)
            async with asyncio.timeout(DEADLINE):
                await service.scheduler.cancel(job_id)
                async for job in service.scheduler.follow(job_id):
                    told = job
            assert told.state is JobState.CANCELED
            assert service.table.get(job_id).state is state
        await until(lambda: service.table.get(job_id).state is JobState.CANCELED)


async def test_canceling_a_finished_job_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit()
        await service.finish_all()
        before = await service.job(job_id)
        assert await service.scheduler.cancel(job_id) == before


async def test_a_render_that_brings_its_video_is_one_job_whose_progress_tells_of_both(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit(video_of="anna")
        fractions = []
        service.pool.find(job_id).told(5, 10 + 75)
        while service.pool.running:
            fractions.append((await service.job(job_id)).fraction)
            await service.finish(job_id)
        assert service.methods(job_id) == ["build_avatar", "prepare", "encode", "finish"]
        assert fractions == [5 / 85, 10 / 85, 10 / 85, 1.0]
        job = await service.job(job_id)
        assert (job.state, job.frames_done, job.frames_total) == ("succeeded", 85, 85)
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
        assert all(job.fps >= 0 for job in ends)
