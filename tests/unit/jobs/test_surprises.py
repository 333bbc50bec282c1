"""Errors that nobody foresaw end no task for good, and who is to see them does."""

import asyncio
import threading
from collections.abc import Collection
from pathlib import Path

import pytest

from app.errors import NotReady
from app.jobs import forever, records, scheduler
from app.jobs.files import DataFolder
from app.jobs.job import Ended, Job, JobState
from app.jobs.open_job import OpenJob
from tests.support.scheduling import running
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forever, "AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(records, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(records, "CHECK_SECONDS", 0.02)


async def test_a_step_that_fails_is_told_of_and_taken_again() -> None:
    told, steps = (
        list[Exception | None](),
        list[Exception | None]([RuntimeError("once"), None, OSError("full")]),
    )

    async def step() -> None:
        if steps and (error := steps.pop(0)):
            raise error

    going_on = asyncio.create_task(forever.forever("test", step, every=0.01, tell=told.append))
    await until(lambda: len(told) > 4)
    assert [type(each) for each in told[:4]] == [RuntimeError, type(None), OSError, type(None)]
    going_on.cancel()
    await asyncio.wait({going_on})
    assert going_on.cancelled()


async def test_turns_that_could_not_be_given_are_given_later_and_the_service_is_not_ready_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:

        def wanting(jobs: Collection[OpenJob]) -> list[OpenJob]:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr(service.scheduler._turns, "wanting", wanting)
            submitting = asyncio.create_task(service.submit())
            await until(lambda: service.scheduler.records.troubles.get("turns"))
            with pytest.raises(NotReady, match="scheduler failed"):
                service.scheduler.check_ready()
        job_id = await submitting
        await until(lambda: service.pool.running)
        await service.finish_all()
        assert (await service.job(job_id)).state is JobState.SUCCEEDED
        service.scheduler.check_ready()


async def test_a_pool_that_takes_no_call_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:
        call, failures = service.pool.call, [1]

        def refuse(*given: object) -> object:
            if failures:
                failures.pop()
                raise LookupError("no worker is idle")
            return call(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(service.pool, "call", refuse)
        job_id = await service.submit()
        await until(lambda: service.pool.running)
        await service.finish_all()
        job = await service.job(job_id)
        assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


async def test_a_job_ends_though_those_fail_who_count_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(ended: Ended) -> None:
        raise RuntimeError("a bug")

    async with running(tmp_path) as service:
        monkeypatch.setattr(service.scheduler, "_on_ended", count)
        job_id = await service.submit()
        await service.finish_all()
        assert service.table.get(job_id).state is JobState.SUCCEEDED
        assert not service.scheduler._jobs


async def test_a_job_ends_though_the_table_failed_of_something_else_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:
        save, failures = service.table.save, [1]

        def fail(job: Job) -> bool:
            if job.state.is_terminal and failures:
                failures.pop()
                raise RuntimeError("can't start new thread")
            return save(job)

        monkeypatch.setattr(service.table, "save", fail)
        job_id = await service.submit()
        await service.finish_all()
        await until(lambda: service.table.get(job_id).state is JobState.SUCCEEDED)


async def test_a_table_that_hangs_is_told_of_until_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SILENT_SECONDS", 0.05)
    async with running(tmp_path) as service:
        check, answer = service.table.check, threading.Event()

        def hang() -> None:
            assert answer.wait(30)
            check()

        monkeypatch.setattr(service.table, "check", hang)
        await until(lambda: service.scheduler.records.troubles.get("read"))
        with pytest.raises(NotReady, match="does not respond"):
            service.scheduler.check_ready()
        answer.set()
        await until(lambda: not service.scheduler.records.troubles.get("read"))
        service.scheduler.check_ready()


async def test_a_service_stops_though_its_table_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "STOP_SECONDS", 0.05)
    monkeypatch.setattr(scheduler, "SILENT_SECONDS", 0.05)
    answer = threading.Event()

    def hang(job: Job) -> bool:
        return answer.wait(30)

    async with running(tmp_path) as service:
        await service.submit()
        monkeypatch.setattr(service.table, "save", hang)
        stopping = asyncio.create_task(service.scheduler.stop())
        await until(stopping.done)
        assert not answer.is_set()
        answer.set()


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_a_job_ends_though_the_volume_hangs_that_holds_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    monkeypatch.setattr(scheduler, "NOTE_SECONDS", 0.05)
    answer = threading.Event()

    def hang(files: DataFolder, job: object) -> None:
        answer.wait(30)

    monkeypatch.setattr(DataFolder, "keep_result", hang)
    monkeypatch.setattr(DataFolder, "forget", hang)
    async with running(tmp_path) as service:
        ending, waiting = await service.submit(), await service.submit()
        while not (job := await service.job(ending)).state.is_terminal:
            if any(each.call.job_id == ending for each in service.pool.running):
                pretended = service.pool.find(ending)
                service.pool.finish(pretended) if outcome == "succeeded" else service.pool.die(pretended)
            await asyncio.sleep(0.01)
        assert job.state == outcome
        await until(lambda: service.pool.running and service.pool.find(waiting))
        answer.set()
        await service.settle()


async def test_files_are_deleted_however_long_the_volume_hangs_and_nobody_waits_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "NOTE_SECONDS", 0.02)
    monkeypatch.setattr("app.threads.WAIT_SECONDS", 0.02)
    answer, forget = threading.Event(), DataFolder.forget

    def hang(files: DataFolder, job_id: str) -> None:
        answer.wait(30)
        forget(files, job_id)

    monkeypatch.setattr(DataFolder, "forget", hang)
    async with running(tmp_path) as service:
        for number in range(20):  # more than have a thread
            service.files.job(str(number)).mkdir(parents=True)
            await service.scheduler.forget_files(str(number))
        await asyncio.sleep(0.1)
        assert len(list(service.files.job("0").parent.iterdir())) == 20
        answer.set()
        await service.settle()
        assert list(service.files.job("0").parent.iterdir()) == []


async def test_what_is_done_while_the_service_stops_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:
        job_id = await service.submit()
        while service.methods(job_id)[-1] != "finish":
            await service.finish(job_id)

        async def answer() -> None:
            for pretended in service.pool.running:
                service.pool.finish(pretended)

        monkeypatch.setattr(service.pool, "stop", answer)
        await service.scheduler.stop()
        assert service.table.get(job_id).state is JobState.SUCCEEDED
    async with running(tmp_path) as service:
        assert not service.pool.history


async def test_what_a_render_is_made_of_stays_until_it_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as service:
        save, full = service.table.save, [True]

        def refuse(job: Job) -> bool:
            if full and job.state.is_terminal:
                raise RuntimeError("disk full")
            return save(job)

        monkeypatch.setattr(service.table, "save", refuse)
        job_id = await service.submit()
        workspace = service.files.workspace(job_id)
        made = [workspace.fragment(0), workspace.sound, service.files.upload(job_id)]
        workspace.segments.mkdir()
        for path in made:
            path.write_bytes(b"made")
        workspace.result.write_bytes(b"film")
        while not service.scheduler.records.troubles.get("write"):  # between two calls none is running
            for pretended in service.pool.running:
                service.pool.finish(pretended)
            await asyncio.sleep(0.02)
        assert all(path.exists() for path in made)
        full.clear()
        await until(lambda: not any(path.exists() for path in made))
        assert workspace.result.exists()
