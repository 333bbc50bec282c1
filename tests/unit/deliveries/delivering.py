"""A deliverer at work, and the jobs whose news it brings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from app.deliveries import webhook
from app.deliveries.deliverer import Deliverer
from app.errors import RenderProcessCrashed
from app.jobs.job import Delivery, Job, JobKind, JobState, NewJob, new_id, utc_now
from app.jobs.table import JobTable
from tests.support.waiting import until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


QUICK = (0.01, 0.01, 0.02, 0.02, 0.03, 0.03)


def news_of(job: Job) -> dict[str, Any]:
    return webhook.body(f"job.{job.state}", {"id": job.id}, job.finished_at or utc_now())


@asynccontextmanager
async def working(deliverer: Deliverer) -> AsyncIterator[None]:
    task = asyncio.create_task(deliverer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def submitted(table: JobTable, deliveries: list[Delivery], owner: str | None = None, **params: str) -> Job:
    return table.insert(NewJob(new_id(), JobKind.RENDER, "anna", params, owner, deliveries=deliveries))


def ended(table: JobTable, job: Job, state: JobState = JobState.SUCCEEDED) -> Job:
    error = RenderProcessCrashed("It died.").problem() if state is JobState.FAILED else None
    table.save(replace(job, state=state, error=error, finished_at=utc_now()))
    return table.get(job.id)


def states(table: JobTable, job: Job) -> list[str]:
    return [each["state"] for each in table.get(job.id).deliveries]


async def settled(table: JobTable, job: Job) -> list[Delivery]:
    await until(lambda: "waiting" not in states(table, job))
    return table.get(job.id).deliveries
