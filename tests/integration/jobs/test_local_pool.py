import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.errors import NotReady
from app.jobs.job import JobState
from app.workers.local import LocalPool
from app.workers.member import Timeouts
from tests.integration.jobs.conftest import LIMITS, TIMEOUTS, Service
from tests.support.processes import is_alive
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

Start = Callable[..., Awaitable[Service[LocalPool]]]


async def test_a_job_runs_and_its_upload_is_deleted_but_its_result_kept(start: Start) -> None:
    service = await start()
    job = await service.outcome(await service.submit(frames=4))
    assert (job.state, job.attempts, job.frames_done) == (JobState.SUCCEEDED, 1, 4)
    await until(lambda: [path.name for path in service.files.job(job.id).iterdir()] == ["result.mp4"])
    (ended,) = service.ended
    assert (ended.job.id, ended.frames, ended.media_seconds) == (job.id, 4, 4 / 25)


async def test_the_service_is_ready_only_once_the_model_is(start: Start) -> None:
    service = await start()
    with pytest.raises(NotReady, match="is loading"):
        service.scheduler.check_ready()
    service.scheduler.check_usable()
    await until(lambda: service.pool.size)
    service.scheduler.check_ready()
    assert service.pool.model == {"name": "script", "device": "none"}


async def test_a_model_that_cannot_be_loaded_is_reported_and_looked_at_again_when_it_has_changed(
    start: Start, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    model.write_text("damaged")
    service = await start(model=model, timeouts=Timeouts())
    await until(lambda: service.pool.unusable)
    with pytest.raises(NotReady, match="352 entries expected, 17 found"):
        service.scheduler.check_ready()
    with pytest.raises(NotReady, match="352 entries expected"):
        service.scheduler.check_usable()
    model.write_text("whole")
    await until(lambda: service.pool.size)
    service.scheduler.check_ready()
    service.scheduler.check_usable()

    model.write_text("damaged")  # also when a worker that was ready has to be started again
    os.kill(service.pid, signal.SIGKILL)
    await until(lambda: service.pool.unusable)
    with pytest.raises(NotReady, match="352 entries expected, 17 found"):
        service.scheduler.check_ready()
    model.write_text("whole")
    await until(lambda: service.pool.size)
    service.scheduler.check_ready()


async def test_a_process_that_dies_while_it_loads_is_started_again_and_its_end_reported(start: Start) -> None:
    service = await start(model=Path("crashing.onnx"))
    await until(lambda: service.pool.restarts >= 2)
    with pytest.raises(NotReady, match="SIGSEGV"):
        service.scheduler.check_ready()


async def test_a_process_that_is_never_ready_is_ended_and_started_again(start: Start) -> None:
    service = await start(model=Path("slow.onnx"), timeouts=Timeouts(start=2.0, longest_delay=0.2))
    await until(lambda: service.pool.restarts >= 2)
    with pytest.raises(NotReady, match="did not become ready in time"):
        service.scheduler.check_ready()


async def test_a_job_that_crashes_its_process_once_is_tried_again(start: Start) -> None:
    service = await start()
    job = await service.outcome(await service.submit(misbehave="crash", attempts=1))
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert service.files.workspace(job.id).result.read_text() == "frames 3"
    assert service.pool.restarts == 1


async def test_a_job_that_always_crashes_fails_alone(start: Start) -> None:
    service = await start()
    bad = await service.submit(misbehave="crash")
    good = await service.submit()
    bad, good = await service.outcome(bad), await service.outcome(good)
    assert bad.error is not None
    assert (bad.state, bad.attempts) == (JobState.FAILED, LIMITS.attempts)
    assert bad.error["type"].endswith(":render-process-crashed")
    assert "SIGSEGV" in bad.error["detail"]
    assert good.state is JobState.SUCCEEDED
    await until(lambda: not service.files.job(bad.id).exists())
    await until(lambda: len(service.ended) == 2)
    ends = {ended.job.id: ended.job.state for ended in service.ended}
    assert ends == {bad.id: "failed", good.id: "succeeded"}


async def test_a_job_that_hangs_is_stopped_and_fails_alone(start: Start) -> None:
    service = await start(timeouts=Timeouts(stall=1.5, longest_delay=0.2))
    bad = await service.submit(misbehave="hang")
    good = await service.submit()
    bad = await service.outcome(bad)
    service.pool._timeouts = TIMEOUTS  # the other one may take its time
    good = await service.outcome(good)
    assert bad.error is not None
    assert bad.error["type"].endswith(":render-process-stalled")
    assert good.state is JobState.SUCCEEDED


async def test_a_waiting_process_is_not_taken_for_one_that_stands_still(start: Start) -> None:
    service = await start(timeouts=Timeouts(stall=0.5))
    await until(lambda: service.pool.size)
    first = service.pid
    await asyncio.sleep(1.0)
    assert service.pid == first
    assert service.pool.restarts == 0


async def test_a_refused_file_fails_with_its_own_problem(start: Start) -> None:
    service = await start()
    job = await service.outcome(await service.submit(misbehave="refuse"))
    assert job.error == {
        "type": "urn:mouthpiece:problem:no-face",
        "title": "No face found",
        "status": 422,
        "detail": "No face.",
    }
    assert job.attempts == 1
    await until(lambda: not service.files.job(job.id).exists())


async def test_an_unexpected_error_fails_the_job_without_showing_its_words(start: Start) -> None:
    service = await start()
    job = await service.outcome(await service.submit(misbehave="break"))
    assert job.error is not None
    assert job.error["status"] == 500
    assert "secret" not in json.dumps(job.error)
    assert service.pool.restarts == 0


async def test_a_running_job_is_canceled_between_batches_and_leaves_no_files(start: Start) -> None:
    service = await start()
    job = await service.progress(await service.submit(frames=1000, pause=0.05))
    await service.scheduler.cancel(job.id)
    job = await service.outcome(job)
    assert job.state is JobState.CANCELED
    await until(lambda: not service.files.job(job.id).exists())
    assert (service.pool.size, service.pool.restarts) == (1, 0)


async def test_a_job_that_does_not_hear_a_cancel_is_stopped_by_force(start: Start) -> None:
    service = await start(timeouts=Timeouts(stop=0.5))
    job = await service.progress(await service.submit(misbehave="hang"))
    await service.scheduler.cancel(job.id)
    job = await service.outcome(job)
    assert job.state is JobState.CANCELED
    await until(lambda: not service.files.job(job.id).exists())


async def test_a_stopped_service_gives_its_job_back_and_the_next_one_does_it(
    start: Start, tmp_path: Path
) -> None:
    first, held = await start(), tmp_path / "held"
    held.touch()
    job = await first.progress(await first.submit(held=str(held)))
    pid = first.pid
    await first.scheduler.stop()
    held.unlink()
    assert not is_alive(pid)
    job = first.table.get(job.id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert first.files.upload(job.id).exists()
    second = await start()
    job = await second.outcome(job)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


async def test_a_process_killed_while_it_waits_is_replaced(start: Start) -> None:
    service = await start()
    await until(lambda: service.pool.size)
    os.kill(service.pid, signal.SIGKILL)
    await until(lambda: service.pool.restarts == 1 and service.pool.size)
    assert (await service.outcome(await service.submit())).state is JobState.SUCCEEDED


PARENT = """
import asyncio, sys
from pathlib import Path
from app.logs import configure_logs
from tests.integration.jobs.conftest import running
from tests.support.waiting import until

configure_logs("console", "error")

async def main():
    async with running(Path(sys.argv[1])) as service:
        job = await service.progress(await service.submit(held=sys.argv[2]))
        await until(lambda: service.table.get(job.id).attempts)
        print(service.pid, job.id, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_the_process_dies_with_a_killed_service_whose_job_the_next_one_does(
    start: Start, tmp_path: Path
) -> None:
    (held := tmp_path / "held").touch()
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path / "data"), str(held)), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    worker_pid, job_id = (await parent.stdout.readline()).decode().split()
    parent.kill()
    await parent.wait()
    await until(lambda: not is_alive(int(worker_pid)))
    held.unlink()
    service = await start()
    job = await service.outcome(service.table.get(job_id))
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
