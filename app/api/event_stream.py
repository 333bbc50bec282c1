"""Server-sent events of a job (WHATWG HTML, 9.2), in so few steps that hundreds of clients may follow one."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from anyio import create_task_group, sleep
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.disconnects import cancel_on_disconnect
from app.api.models import JobResource
from app.errors import JobNotFound, ShuttingDown
from app.jobs.job import Job

MEDIA_TYPE: Final = "text/event-stream"
EVENTS: Final[dict[str, Any]] = {
    MEDIA_TYPE: {
        "schema": {
            "description": "Events named `progress`, the last one `end`, each with the job as JSON.",
        }
    }
}
"""A stream of them, as OpenAPI describes it."""
PING_SECONDS: Final = 15.0
"""How often a comment is sent, so that no proxy takes a job that waits for a dead connection."""


class EventStream(Response):
    """What ``news`` tells of a job, each an event named `progress`, or `end` for the last."""

    media_type = None  # of the class: FastAPI would describe a string beside EVENTS

    def __init__(self, news: AsyncGenerator[Job, None]) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers, media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._news = news

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until the job has ended, or the client is gone."""
        try:
            async with cancel_on_disconnect(receive), create_task_group() as group:
                group.start_soon(_ping, send)
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                with suppress(JobNotFound, ShuttingDown):  # deleted meanwhile; or to be followed again later
                    async for job in self._news:
                        await send({"type": "http.response.body", "body": _event(job), "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                group.cancel_scope.cancel()
        finally:
            await self._news.aclose()


async def _ping(send: Send) -> None:
    while True:
        await sleep(PING_SECONDS)
        await send({"type": "http.response.body", "body": b": ping\n\n", "more_body": True})


@lru_cache(64)
def _event(job: Job) -> bytes:
    """Return the event that shows a job, made once for all who follow it."""
    name = "end" if job.state.is_terminal else "progress"
    return f"event: {name}\ndata: {JobResource.of(job).model_dump_json()}\nid: {job.revision}\n\n".encode()
