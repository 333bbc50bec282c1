"""A volume that hangs holds up what lies on it, and nobody for ever."""

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from app import threads
from app.avatars.store import AvatarStore
from app.jobs.files import DataFolder
from app.jobs.job import JobKind, JobState, NewJob, new_id, utc_now
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from tests.integration.api.conftest import Start
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.waiting import DEADLINE, until

pytestmark = pytest.mark.anyio

THREADS = int(threads.RESULTS.patient.total_tokens)


async def test_reads_that_hang_refuse_others_of_their_volume_alone(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "WAIT_SECONDS", 0.2)
    files = DataFolder(tmp_path / "data")
    engine = open_database(files.database)
    job = JobTable(engine).insert(NewJob(new_id(), JobKind.RENDER, "anna"))
    JobTable(engine).save(replace(job, state=JobState.SUCCEEDED, finished_at=utc_now()))
    engine.dispose()
    client = await start()
    report = files.workspace(job.id).report
    report.parent.mkdir(parents=True)
    os.mkfifo(report)
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest("anna"))
    reading = [asyncio.create_task(client.get(f"/v1/jobs/{job.id}/report")) for _ in range(THREADS)]
    await until(lambda: threads.RESULTS.patient.borrowed_tokens == THREADS)
    try:
        answer = await client.get(f"/v1/jobs/{job.id}/report")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["detail"].startswith("The data volume does not respond")
        assert (await client.get("/v1/avatars/anna")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
    finally:
        while not all(each.done() for each in reading):
            os.close(os.open(report, os.O_RDWR | os.O_NONBLOCK))  # whoever opens it to read is let go
            await asyncio.sleep(0.02)


async def test_a_scrape_that_hangs_holds_up_no_other_for_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "WAIT_SECONDS", 0.2)
    client, begun, go_on = await start(), threading.Event(), threading.Event()

    def hang(store: AvatarStore, folder: Path | None) -> int:
        begun.set()
        go_on.wait(DEADLINE)
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(AvatarStore, "cache_bytes", hang)
        hanging = asyncio.create_task(client.get("/metrics"))
        await until(begun.is_set)
        assert (await client.get("/metrics")).status_code == 503
        go_on.set()
        assert (await hanging).status_code == 200
