"""fal's queue (https://docs.fal.ai/model-apis/model-endpoints/queue) and its direct calls.

They lie below ``/fal/queue`` and ``/fal/run``, for there an app's name is all of the path.
"""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from anyio import open_file
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from app.api.attendance import while_there
from app.api.compat import common
from app.api.compat.common import Asked, Meaning
from app.api.dependencies import Services, ServicesDep
from app.api.problems import documented
from app.api.renders import ONE_CALL_PROBLEMS
from app.api.submission import failure, wait_while_there
from app.errors import JobCanceled, JobNotFinished, JobNotFound
from app.jobs.job import Job, JobState
from app.media.formats import MEDIA_TYPES
from app.threads import RESULTS, on_results

API: Final = "fal"
router = APIRouter(prefix="/fal", tags=["compat: fal"])

MOST_INLINE: Final = 32 << 20
"""A video of more bytes is never sent inside an answer, whatever `sync_mode` says."""
_PIECE_BYTES: Final = 48 << 10
"""How much of it is read at a time: a multiple of three, which base64 makes four of."""

_NAMES: Final = {
    "video_url": "video",
    "source_video_url": "video",
    "image_url": "video",
    "audio_url": "audio",
    "source_audio_url": "audio",
    "loop_mode": "sync_mode",
}
"""What apps there call the video and the sound."""


class Queued(BaseModel):
    """A request that was queued."""

    request_id: str
    status: str = "IN_QUEUE"
    queue_position: int
    response_url: str
    status_url: str
    cancel_url: str


class Status(BaseModel):
    """The state of a request."""

    request_id: str
    status: str = Field(description="`IN_QUEUE`, `IN_PROGRESS` or `COMPLETED`.")
    queue_position: int | None = Field(description="The number of requests before it.")
    response_url: str
    logs: list[dict[str, str]] | None = Field(description="With `logs=1`: progress and warnings.")
    metrics: dict[str, float]
    error: str | None
    error_type: str | None


class Video(BaseModel):
    """A file."""

    url: str = Field(description="Its address, or with `sync_mode` true a `data:` URI.")
    content_type: str
    file_name: str
    file_size: int


class Result(BaseModel):
    """The result of a request."""

    video: Video
    warnings: list[str] = Field(description="What was changed, dropped or is doubtful.")


class Cancellation(BaseModel):
    """Whether a request will be stopped."""

    status: str = Field(description="`CANCELLATION_REQUESTED` or `ALREADY_COMPLETED`.")


_BODY: Final = common.json_body(
    {
        "video_url": {"type": "string", "description": "An address, or a `data:` URI."},
        "audio_url": {"type": "string", "description": "An address, or a `data:` URI."},
        "sync_mode": {
            "description": "What to do if video and audio differ in length; or true: the video "
            "comes in the response.",
            "anyOf": [{"enum": list(common.TIMING)}, {"type": "boolean"}],
        },
    }
)
_TAKEN: Final = documented(*ONE_CALL_PROBLEMS, JobNotFinished)
_FOUND: Final = documented(JobNotFound)
_GONE: Final = documented(*ONE_CALL_PROBLEMS, JobNotFound, JobNotFinished, JobCanceled)

Webhook = Annotated[str | None, Query(description="Where to `POST` the result.", max_length=2048)]


@router.post("/queue/{owner}/{alias}", openapi_extra=_BODY, responses=_TAKEN)
@router.post("/queue/{owner}/{alias}/{rest:path}", openapi_extra=_BODY, responses=_TAKEN)
async def submit(
    owner: str,
    alias: str,
    request: Request,
    services: ServicesDep,
    fal_webhook: Webhook = None,
    rest: str = "",
) -> Queued:
    """Queue a request."""
    job = await _submit(request, services, f"{owner}/{alias}", fal_webhook, waited_for=False)
    here = _address(job)
    return Queued(
        request_id=job.id,
        queue_position=await _position(services, job) or 0,
        response_url=here,
        status_url=f"{here}/status",
        cancel_url=f"{here}/cancel",
    )


@router.post("/run/{owner}/{alias}", openapi_extra=_BODY, response_model=Result, responses=_GONE)
@router.post("/run/{owner}/{alias}/{rest:path}", openapi_extra=_BODY, response_model=Result, responses=_GONE)
async def run(owner: str, alias: str, request: Request, services: ServicesDep, rest: str = "") -> Response:
    """Make a request and wait for its result."""
    job = await _submit(request, services, f"{owner}/{alias}", None, waited_for=True)
    return await answer_of(services, await wait_while_there(request, services, job))


@router.get("/queue/{owner}/{alias}/requests/{request_id}/status", responses=_FOUND)
async def get_status(
    owner: str,
    alias: str,
    request_id: str,
    request: Request,
    services: ServicesDep,
    response: Response,
    logs: Annotated[bool, Query(description="Whether to send progress and warnings.")] = False,
) -> Status:
    """Show the state of a request."""
    job = await common.find(request, services, API, request_id)
    error = common.problem_of(job)
    return Status(
        request_id=job.id,
        status=_status(job),
        queue_position=await _position(services, job),
        response_url=_address(job),
        logs=_logs(job) if logs else None,
        metrics={"inference_time": common.seconds_of(job)} if job.finished_at else {},
        error=error,
        error_type=_kind(job) if error else None,
    )


@router.get("/queue/{owner}/{alias}/requests/{request_id}", response_model=Result, responses=_GONE)
async def get_result(
    owner: str, alias: str, request_id: str, request: Request, services: ServicesDep
) -> Response:
    """Show the result of a request."""
    job = await common.find(request, services, API, request_id)
    if not job.state.is_terminal:
        raise JobNotFinished(f"The request is {job.state} and has no result yet; query its status.")
    return await answer_of(services, job)


@router.put(
    "/queue/{owner}/{alias}/requests/{request_id}/cancel",
    status_code=202,
    response_model=Cancellation,
    responses=documented(
        JobNotFound, also={400: {"model": Cancellation, "description": "It has ended already."}}
    ),
)
async def cancel(
    owner: str, alias: str, request_id: str, request: Request, services: ServicesDep
) -> Response:
    """Cancel a request; one that has ended stays as it is."""
    job = await common.find(request, services, API, request_id)
    if job.state.is_terminal:
        return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
    await common.cancel(request, services, job)
    return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)


def news_of(job: Job) -> dict[str, Any]:
    """Return what a webhook says of a job that has ended."""
    error = common.problem_of(job)
    kind = MEDIA_TYPES[common.form_of(job)]
    made = {"video": {"url": common.video_of(job), "content_type": kind}}
    return {
        "request_id": job.id,
        "gateway_request_id": job.id,
        "status": "ERROR" if error else "OK",
        "error": error,
        "payload": {"detail": error} if error else made,
    }


async def _submit(
    request: Request, services: Services, app: str, webhook: str | None, *, waited_for: bool
) -> Job:
    def read(body: Mapping[str, Any]) -> Meaning:
        fields = common.renamed(body, _NAMES)
        mode = fields.pop("sync_mode", None)
        if mode is not None and not isinstance(mode, bool):
            fields |= common.timed(mode)
        fields |= {"webhook_url": webhook} if webhook else {}
        return Meaning(fields, {"app": app, "inline": mode is True})

    return await common.submit(request, services, API, read, waited_for=waited_for)


async def answer_of(services: Services, job: Job) -> Response:
    """Return the result of a job that has ended, or its problem. Raises ``JobNotFound`` if it has gone."""
    if bad := failure(job):
        return bad
    path, kind = services.files.result(job), MEDIA_TYPES[common.form_of(job)]
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
        async with file, while_there(receive):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._head, "more_body": True})
            while piece := await file.read(_PIECE_BYTES):
                await send({"type": "http.response.body", "body": b64encode(piece), "more_body": True})
            await send({"type": "http.response.body", "body": self._tail, "more_body": False})


def _address(job: Job) -> str:
    asked = Asked.of(job)
    return f"{asked.base}/fal/queue/{(asked.shown or {}).get('app', '')}/requests/{job.id}"


def _status(job: Job) -> str:
    if job.state.is_terminal:
        return "COMPLETED"
    return "IN_QUEUE" if job.state is JobState.QUEUED else "IN_PROGRESS"


async def _position(services: Services, job: Job) -> int | None:
    """Return how many requests wait that came before; None for one that does not wait."""
    if job.state is not JobState.QUEUED:
        return None
    page = await services.scheduler.page(state=JobState.QUEUED, limit=200)
    return sum(each.number < job.number for each in page.jobs)


def _logs(job: Job) -> list[dict[str, str]]:
    """Return progress and warnings as lines of a log."""
    progress = job.progress
    lines = [("WARNING", warning["detail"]) for warning in job.warnings]
    if progress.frames_total:
        lines.append(("INFO", f"{progress.frames_done} of {progress.frames_total} frames"))
    when = (job.started_at or job.created_at).isoformat()
    return [{"message": line, "level": level, "timestamp": when} for level, line in lines]


def _kind(job: Job) -> str:
    """Return the code of why a job has no video."""
    return job.error["type"].rsplit(":", 1)[-1] if job.error else JobCanceled.code
