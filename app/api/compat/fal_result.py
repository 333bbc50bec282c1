"""The result of a request, as fal shows it: the address of the video, or the video itself."""

from base64 import b64encode
from pathlib import Path
from typing import Final

from anyio import open_file
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from app.api.compat import common
from app.api.compat.common import Asked
from app.api.dependencies import Services
from app.api.disconnects import cancel_on_disconnect
from app.api.submission import failure
from app.errors import JobNotFound
from app.jobs.job import Job, format_of
from app.media.formats import MEDIA_TYPES
from app.threads import RESULTS, on_results

MOST_INLINE: Final = 32 << 20
"""A video of more bytes is never sent inside an answer, whatever `sync_mode` says."""
_PIECE_BYTES: Final = 48 << 10
"""How much of it is read at a time: a multiple of three, which base64 makes four of."""


class Video(BaseModel):
    """A file."""

    url: str = Field(description="Its address, or with `sync_mode` true a `data:` URI.")
    content_type: str = Field(description="Its type of media.")
    file_name: str = Field(description="A name to save it under.")
    file_size: int = Field(description="Bytes.")


class Result(BaseModel):
    """The result of a request."""

    video: Video
    warnings: list[str] = Field(description="What was changed, dropped or is doubtful.")


async def answer_of(services: Services, job: Job) -> Response:
    """Return the result of a job that has ended, or its problem. Raises ``JobNotFound`` if it has gone."""
    if bad := failure(job):
        return bad
    path, kind = services.files.result(job), MEDIA_TYPES[format_of(job.params)]
    gone = JobNotFound(f"The result of request {job.id} has expired.")
    try:
        size = (await on_results(path.stat)).st_size
    except FileNotFoundError:
        raise gone from None
    inline = (Asked.of(job).shown or {}).get("inline") and size <= MOST_INLINE
    url = f"data:{kind};base64,{_HERE}" if inline else common.video_of(job) or ""
    video = Video(url=url, content_type=kind, file_name=f"{job.id}{path.suffix}", file_size=size)
    answer = Result(video=video, warnings=[warning["detail"] for warning in job.warnings])
    if inline:
        return _Inline(path, answer, gone)
    return JSONResponse(answer.model_dump(mode="json"))


_HERE: Final = "<file>"
"""Where the bytes of a file come into an answer."""


class _Inline(Response):
    """An answer with a file in it, which is read and sent in pieces."""

    media_type = "application/json"

    def __init__(self, path: Path, answer: Result, gone: JobNotFound) -> None:
        head, _, tail = answer.model_dump_json().encode().partition(_HERE.encode())
        size = answer.video.file_size
        super().__init__(headers={"Content-Length": str(len(head) + (size + 2) // 3 * 4 + len(tail))})
        self._path, self._head, self._tail, self._gone = path, head, tail, gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            file = await open_file(self._path, "rb", limiter=RESULTS)
        except FileNotFoundError:
            raise self._gone from None
        async with file, cancel_on_disconnect(receive):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._head, "more_body": True})
            while piece := await file.read(_PIECE_BYTES):
                await send({"type": "http.response.body", "body": b64encode(piece), "more_body": True})
            await send({"type": "http.response.body", "body": self._tail, "more_body": False})
