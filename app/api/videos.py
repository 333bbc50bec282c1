"""Sending videos: finished ones with ranges and an ETag, unfinished ones fragment by fragment."""

import os
import re
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import structlog
from anyio import CancelScope, create_task_group, to_thread
from fastapi import Request
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.api.dependencies import Services
from app.api.submission import content_location, failure, follow
from app.errors import JobNotFound, ShuttingDown
from app.jobs.job import Job, JobState
from app.media.formats import MEDIA_TYPES, Format
from app.rendering.workspace import Workspace

log = structlog.stdlib.get_logger(__name__)

VIDEOS: Final[dict[str, Any]] = {media_type: {} for media_type in MEDIA_TYPES.values()}
"""What may be sent, as OpenAPI describes it."""
_SINGLE_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
"""No file has more bytes than 18 digits can say; longer numbers are no range."""


async def finished_video(request: Request, job: Job, path: Path, headers: Mapping[str, str]) -> Response:
    """Return a finished video; ``Range``, ``If-Range``, ``If-None-Match`` and ``HEAD`` work.

    A result never changes, so that the job's id is a strong tag for it. Raises ``JobNotFound`` if the file
    has gone, and an HTTP 416 for a range beyond its end.
    """
    try:
        stat = await to_thread.run_sync(os.stat, path)
    except FileNotFoundError:
        raise JobNotFound(f"The result of job {job.id} has expired.") from None
    tag = f'"{job.id}"'
    every = {"ETag": tag, "Cache-Control": "private, no-cache"} | dict(headers)
    if tag in re.split(r"\s*,\s*", request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=every)
    _settle_range(request, stat.st_size)
    name = f"{job.avatar_id}-{job.id}{path.suffix}"
    return FileResponse(
        path,
        headers=every,
        media_type=MEDIA_TYPES[cast(Format, path.suffix.removeprefix("."))],
        filename=name,
        stat_result=stat,
        content_disposition_type="inline",
    )


class FragmentStream(Response):
    """A fragmented MP4, sent while it is rendered.

    If the job fails in the middle, the connection is cut instead of ended, so that no client takes the
    part for the whole. The last reader of a finished job takes its fragments away.
    """

    def __init__(
        self,
        workspace: Workspace,
        job: Job,
        news: AsyncGenerator[Job, None],
        headers: Mapping[str, str],
    ) -> None:
        self._workspace = workspace
        self._job = job
        self._news = news
        self.status_code = 200
        self.media_type = MEDIA_TYPES["mp4"]
        self.background = None
        self.body = b""
        self.init_headers(dict(headers) | {"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is, then each fragment when it is there."""
        try:
            async with create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                await self._send(send)
                group.cancel_scope.cancel()
        finally:
            await self._news.aclose()
            _leave(self._workspace, self._job)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        whole = False
        with suppress(JobNotFound, FileNotFoundError, ShuttingDown):  # the job was deleted, or goes on later
            whole = await self._send_fragments(send)
        if whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            log.warning("stream_cut", job=self._job.id, state=self._job.state)

    async def _send_fragments(self, send: Send) -> bool:
        """Send all that there will be; return whether it is the whole video."""
        await _send_file(send, self._workspace.init)
        index = 0
        while True:
            ended = self._job.state.is_terminal
            while (fragment := self._workspace.fragment(index)).exists():
                await _send_file(send, fragment)
                index += 1
            if ended:
                return self._job.state is JobState.SUCCEEDED
            self._job = await anext(self._news)


async def unfinished_video(request: Request, services: Services, job: Job) -> Response:
    """Return the video of a job that waits or runs, as a stream that begins when there is something to send.

    A job that ends before that without a result is answered with its problem; one whose fragments are gone
    with the finished video.
    """
    workspace = services.files.workspace(job.id)
    news = follow(services, job)
    _readers[workspace] += 1
    try:
        async for job in news:
            if job.state.is_terminal or workspace.fragment(0).exists():
                break
        if workspace.fragment(0).exists() and job.state in (JobState.RUNNING, JobState.SUCCEEDED):
            return FragmentStream(workspace, job, news, content_location(job))
    except BaseException:
        await news.aclose()
        _leave(workspace, job)
        raise
    await news.aclose()
    _leave(workspace, job)
    return failure(job) or await finished_video(request, job, workspace.result, content_location(job))


_readers: Final[Counter[Workspace]] = Counter()
"""How many streams read the fragments of which render."""


def _leave(workspace: Workspace, job: Job) -> None:
    _readers[workspace] -= 1
    if _readers[workspace] == 0:
        del _readers[workspace]
        if job.state is JobState.SUCCEEDED:
            workspace.clear_scratch(keep_fragments=False)


async def _send_file(send: Send, path: Path) -> None:
    await send(
        {
            "type": "http.response.body",
            "body": await to_thread.run_sync(path.read_bytes),
            "more_body": True,
        }
    )


async def _until_gone(receive: Receive, scope: CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _settle_range(request: Request, size: int) -> None:
    """Refuse a range beyond the end; hide one that RFC 9110 allows to ignore: malformed or multiple."""
    given = request.headers.get("range")
    if given is None:
        return
    match = _SINGLE_RANGE.fullmatch(given.strip())
    first, last, suffix = match.groups() if match else (None, None, None)
    if match is None or (first and last and int(last) < int(first)):
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
    elif (first and int(first) >= size) or (suffix and int(suffix) == 0):
        raise HTTPException(416, "The range lies beyond the end.", {"Content-Range": f"bytes */{size}"})
