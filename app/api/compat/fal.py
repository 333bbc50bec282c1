"""fal's queue (https://docs.fal.ai/model-apis/model-endpoints/queue) and its direct calls.

They lie below ``/fal/queue`` and ``/fal/run``, for there an app's name is all of the path.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from app.api.compat import common
from app.api.compat.common import Asked, Meaning
from app.api.compat.fal_result import Result, answer_of
from app.api.dependencies import JOB_PROBLEMS, Services, ServicesDep
from app.api.problems import documented
from app.api.renders import ONE_CALL_PROBLEMS
from app.api.submission import wait_while_connected
from app.errors import JobCanceled, JobNotFinished, JobNotFound
from app.jobs.job import Job, JobState, format_of
from app.media.formats import MEDIA_TYPES

API: Final = "fal"
router = APIRouter(prefix="/fal", tags=["compat: fal"])

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

    request_id: str = Field(description="The job's id.")
    status: str = Field("IN_QUEUE", description="Always `IN_QUEUE`.")
    queue_position: int = Field(description="The number of requests before it.")
    response_url: str = Field(description="Where to get the result.")
    status_url: str = Field(description="Where to ask for the state.")
    cancel_url: str = Field(description="Where to `PUT` to cancel it.")


class Status(BaseModel):
    """The state of a request."""

    request_id: str = Field(description="The job's id.")
    status: str = Field(description="`IN_QUEUE`, `IN_PROGRESS` or `COMPLETED`.")
    queue_position: int | None = Field(description="The number of requests before it.")
    response_url: str = Field(description="Where to get the result.")
    logs: list[dict[str, str]] | None = Field(description="With `logs=1`: progress and warnings.")
    metrics: dict[str, float] = Field(description="When it has ended: `inference_time`, in seconds.")
    error: str | None = Field(description="Why there is no result: a sentence.")
    error_type: str | None = Field(description="The same, for programs.")


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
_FOUND: Final = documented(*JOB_PROBLEMS)
_GONE: Final = documented(*ONE_CALL_PROBLEMS, JobNotFound, JobNotFinished, JobCanceled)

Owner = Annotated[str, Path(description="The first part of the app's name. The name means nothing here.")]
Alias = Annotated[str, Path(description="The second part of the app's name.")]
Rest = Annotated[str, Path(description="What else the app's name has.")]
RequestId = Annotated[str, Path(description="The job's id.")]
Webhook = Annotated[str | None, Query(description="Where to `POST` the result.", max_length=2048)]


@router.post("/queue/{owner}/{alias}", openapi_extra=_BODY, responses=_TAKEN)
async def submit(
    owner: Owner, alias: Alias, request: Request, services: ServicesDep, fal_webhook: Webhook = None
) -> Queued:
    """Queue a request."""
    job = await _submit(request, services, f"{owner}/{alias}", fal_webhook, waited_for=False)
    here = _address(job)
    return Queued(
        request_id=job.id,
        queue_position=_position(services, job) or 0,
        response_url=here,
        status_url=f"{here}/status",
        cancel_url=f"{here}/cancel",
    )


@router.post("/queue/{owner}/{alias}/{rest:path}", openapi_extra=_BODY, responses=_TAKEN)
async def submit_to_part(
    owner: Owner,
    alias: Alias,
    rest: Rest,
    request: Request,
    services: ServicesDep,
    fal_webhook: Webhook = None,
) -> Queued:
    """Queue a request to a part of an app: the same."""
    return await submit(owner, alias, request, services, fal_webhook)


@router.post("/run/{owner}/{alias}", openapi_extra=_BODY, response_model=Result, responses=_GONE)
async def run(owner: Owner, alias: Alias, request: Request, services: ServicesDep) -> Response:
    """Make a request and wait for its result."""
    job = await _submit(request, services, f"{owner}/{alias}", None, waited_for=True)
    return await answer_of(services, await wait_while_connected(request, services, job))


@router.post("/run/{owner}/{alias}/{rest:path}", openapi_extra=_BODY, response_model=Result, responses=_GONE)
async def run_part(
    owner: Owner, alias: Alias, rest: Rest, request: Request, services: ServicesDep
) -> Response:
    """Make a request to a part of an app and wait for its result: the same."""
    return await run(owner, alias, request, services)


@router.get("/queue/{owner}/{alias}/requests/{request_id}/status", responses=_FOUND)
async def get_status(
    owner: Owner,
    alias: Alias,
    request_id: RequestId,
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
        queue_position=_position(services, job),
        response_url=_address(job),
        logs=_logs(job) if logs else None,
        metrics={"inference_time": common.seconds_of(job)} if job.finished_at else {},
        error=error,
        error_type=_kind(job) if error else None,
    )


@router.get("/queue/{owner}/{alias}/requests/{request_id}", response_model=Result, responses=_GONE)
async def get_result(
    owner: Owner, alias: Alias, request_id: RequestId, request: Request, services: ServicesDep
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
        *JOB_PROBLEMS, also={400: {"model": Cancellation, "description": "It has ended already."}}
    ),
)
async def cancel(
    owner: Owner, alias: Alias, request_id: RequestId, request: Request, services: ServicesDep
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
    kind = MEDIA_TYPES[format_of(job.params)]
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


def _address(job: Job) -> str:
    asked = Asked.of(job)
    return f"{asked.base}/fal/queue/{quote((asked.shown or {}).get('app', ''))}/requests/{job.id}"


def _status(job: Job) -> str:
    if job.state.is_terminal:
        return "COMPLETED"
    return "IN_QUEUE" if job.state is JobState.QUEUED else "IN_PROGRESS"


def _position(services: Services, job: Job) -> int | None:
    """Return how many requests wait that came before; None for one that does not wait."""
    if job.state is not JobState.QUEUED:
        return None
    return services.scheduler.queued_before(job)


def _logs(job: Job) -> list[dict[str, str]]:
    """Return progress and warnings as lines of a log."""
    lines = [("WARNING", warning["detail"]) for warning in job.warnings]
    if job.frames_total:
        lines.append(("INFO", f"{job.frames_done} of {job.frames_total} frames"))
    when = (job.started_at or job.created_at).isoformat()
    return [{"message": line, "level": level, "timestamp": when} for level, line in lines]


def _kind(job: Job) -> str:
    """Return the code of why a job has no video."""
    return job.error["type"].rsplit(":", 1)[-1] if job.error else JobCanceled.code
