"""Sending videos: finished ones with ranges and an ETag, unfinished ones fragment by fragment."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
from anyio import open_file
from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.api.dependencies import Services
from app.api.description import BYTES, sent_file
from app.api.disconnects import cancel_on_disconnect
from app.api.fragment_readers import FragmentReaders
from app.api.sent_file import SentFile, send_pieces
from app.api.submission import content_location, failure, follow
from app.errors import JobNotFound, ShuttingDown
from app.jobs.job import Job, JobState, format_of
from app.media.formats import MEDIA_TYPES
from app.rendering.workspace import Workspace
from app.threads import RESULTS, on_results

log = structlog.stdlib.get_logger(__name__)

VIDEOS: Final[dict[str, Any]] = dict.fromkeys(MEDIA_TYPES.values(), BYTES)
"""What may be sent, as OpenAPI describes it,"""
FINISHED: Final = sent_file("The video.", VIDEOS)
"""and the answers of an address where a finished video is found."""


def finished_video(services: Services, job: Job, headers: Mapping[str, str]) -> SentFile:
    """Return a finished video; ``HEAD``, ranges and all conditions of RFC 9110 work.

    When it is sent, it raises ``JobNotFound`` if the file has gone, an HTTP 412 if it is not the one that is
    wanted, and an HTTP 416 for a range beyond its end.
    """
    path = services.files.result(job)
    named = f'inline; filename="{job.avatar_id}-{job.id}{path.suffix}"'
    return SentFile(
        path,
        media_type=MEDIA_TYPES[format_of(job.params)],
        gone=JobNotFound(f"The result of job {job.id} has expired."),
        headers={"Cache-Control": "private, no-cache", "Content-Disposition": named, **headers},
        tag=tag_of(job),
    )


def tag_of(job: Job) -> str:
    """Return a strong ``ETag`` of a file of a job that has ended.

    Such a file never changes; but a job whose id the caller chose may be replaced by another one of that id.
    """
    return f'"{job.id}-{job.number}"'


class FragmentStream(Response):
    """A fragmented MP4, sent while it is rendered.

    If the job fails in the middle, the connection is cut instead of ended, so that no client takes the
    part for the whole.
    """

    def __init__(
        self,
        workspace: Workspace,
        job: Job,
        news: AsyncGenerator[Job, None],
        readers: FragmentReaders,
        headers: Mapping[str, str],
    ) -> None:
        """``readers`` know already that the fragments are read; they are told when that is over."""
        self._workspace = workspace
        self._job = job
        self._news = news
        self._readers = readers
        self.status_code = 200
        self.media_type = MEDIA_TYPES["mp4"]
        self.background = None
        self.body = b""
        self.init_headers(dict(headers) | {"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is, then each fragment when it is there."""
        try:
            async with cancel_on_disconnect(receive):
                await self._send(send)
        finally:
            await self._news.aclose()
            await self._readers.leave(self._workspace, self._job)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        whole = False
        # The job was deleted, or goes on later; or a folder is in the place of a fragment.
        with suppress(JobNotFound, FileNotFoundError, IsADirectoryError, ShuttingDown):
            whole = await self._send_fragments(send)
        if whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            say = log.info if self._job.state is JobState.CANCELED else log.warning
            say("stream_cut", job=self._job.id, state=self._job.state)

    async def _send_fragments(self, send: Send) -> bool:
        """Send all that there will be; return whether it is the whole video."""
        await _send_file(send, self._workspace.init)
        index = 0
        while True:
            ended = self._job.state.is_terminal
            with suppress(FileNotFoundError):  # the next one is not there yet
                while True:
                    await _send_file(send, self._workspace.fragment(index))
                    index += 1
            if ended:  # without its beginning it was deleted, and there may have been more
                whole = self._job.state is JobState.SUCCEEDED
                return whole and await on_results(self._workspace.init.exists)
            self._job = await anext(self._news)


async def unfinished_video(request: Request, services: Services, job: Job) -> Response:
    """Return the video of a job that waits or runs, as a stream that begins when there is something to send.

    A job that ends before that without a result is answered with its problem; one whose fragments are gone,
    or going, with the finished video. Raises ``ClientDisconnect`` if the client goes meanwhile.
    """
    workspace, readers = services.files.workspace(job.id), services.readers
    news = follow(services, job)
    readers.enter(workspace)
    begun, gone = False, True
    try:
        async with cancel_on_disconnect(request.receive):
            async for job in news:
                ready = job.state is JobState.SUCCEEDED or services.scheduler.is_prepared(job.id)
                begun = (
                    ready and readers.may_read(workspace) and await on_results(workspace.fragment(0).exists)
                )
                if job.state.is_terminal or begun:
                    break
            gone = False
        if gone:
            raise ClientDisconnect
        if begun:
            return FragmentStream(workspace, job, news, readers, content_location(job))
    except BaseException:
        await news.aclose()
        await readers.leave(workspace, job)
        raise
    await news.aclose()
    await readers.leave(workspace, job)
    return failure(job) or finished_video(services, job, content_location(job))


async def _send_file(send: Send, path: Path) -> None:
    """Send a file whole, in pieces, so that little of it waits for a slow reader."""
    async with await open_file(path, "rb", limiter=RESULTS) as file:
        await send_pieces(send, file, 0, (await on_results(os.fstat, file.wrapped.fileno())).st_size)
