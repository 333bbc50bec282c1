"""Jobs over HTTP: list, show, follow, fetch, cancel."""

from pathlib import Path
from typing import Annotated, Final

from anyio import move_on_after
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from app.api.dependencies import JOB_PROBLEMS, JobDep, ServicesDep
from app.api.description import BYTES, JOB_HEADER, sent_file
from app.api.event_stream import EVENTS, EventStream
from app.api.models import JobList, JobResource
from app.api.parameters import AvatarId
from app.api.problems import Responses, documented
from app.api.reports import CheckReport, RenderReceipt
from app.api.sent_file import SentFile
from app.api.submission import CANCEL_SECONDS, content_location, follow, wait_for
from app.api.videos import FINISHED, FragmentStream, finished_video, tag_of, unfinished_video
from app.errors import (
    InvalidRequest,
    JobCanceled,
    JobFailed,
    JobNotFinished,
    NotFound,
    NotReady,
    StorageReadOnly,
    Unavailable,
)
from app.jobs.job import Job, JobKind, JobState
from app.threads import on_table

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_RESULT_PROBLEMS: Final = (
    *JOB_PROBLEMS,
    NotFound,
    JobNotFinished,
    JobFailed,
    JobCanceled,
    StorageReadOnly,
)
_VIDEO: Final[Responses] = {
    status: answer | ({"headers": answer["headers"] | JOB_HEADER} if status in (200, 206, 304) else {})
    for status, answer in FINISHED.items()
}

Stream = Annotated[bool, Query(description="While it renders: stream a fragmented MP4.")]
AvatarFilter = Annotated[AvatarId, Query(description="Only jobs of this avatar.")]


@router.get("", responses=documented(InvalidRequest, NotReady, Unavailable))
async def list_jobs(
    services: ServicesDep,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
    avatar: AvatarFilter = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Maximum number of jobs in the response.")] = 50,
    cursor: Annotated[
        int | None, Query(ge=0, le=2**63 - 1, description="`next_cursor` of the previous response.")
    ] = None,
) -> JobList:
    """List jobs, newest first."""
    page = await services.scheduler.page(state=state, avatar_id=avatar, limit=limit, cursor=cursor)
    return JobList(jobs=[JobResource.of(job) for job in page.jobs], next_cursor=page.next_cursor)


@router.get("/{job_id}", responses=documented(*JOB_PROBLEMS))
async def get_job(job: JobDep) -> JobResource:
    """Show a job."""
    return JobResource.of(job)


@router.get(
    "/{job_id}/events",
    status_code=200,
    response_class=EventStream,
    responses=documented(*JOB_PROBLEMS, also={200: {"content": EVENTS, "description": "The events."}}),
)
async def follow_job(job: JobDep, services: ServicesDep) -> EventStream:
    """Follow a job by server-sent events.

    The data of each event is the job as JSON: one event at once, then one for each change. Events are named
    `progress`; the last one is named `end`, and the stream ends after it.
    """
    return EventStream(follow(services, job))


@router.head("/{job_id}/video", include_in_schema=False)
@router.get(
    "/{job_id}/video",
    response_class=FileResponse,
    responses=documented(*_RESULT_PROBLEMS, also=_VIDEO),
)
async def get_video(job: JobDep, request: Request, services: ServicesDep, stream: Stream = False) -> Response:
    """Fetch the video of a render; `Range`, `ETag` and `HEAD` work.

    If the job was submitted with `stream=true`, its video can be streamed with `stream=true` while it
    renders; if the render fails, the connection breaks.
    """
    if job.kind is not JobKind.RENDER:
        raise NotFound(f"Job {job.id} makes no video.")
    if stream and job.params["stream"] and not job.state.is_terminal and request.method == "GET":
        answer = await unfinished_video(request, services, job)
        if isinstance(answer, FragmentStream):
            return answer
        job = await services.scheduler.get(job.id)
    _check_succeeded(job)
    return finished_video(services, job, content_location(job))


@router.head("/{job_id}/report", include_in_schema=False)
@router.get(
    "/{job_id}/report",
    response_class=FileResponse,
    responses=documented(
        *_RESULT_PROBLEMS,
        also=sent_file("The report.", {"application/json": BYTES}, RenderReceipt | CheckReport),
    ),
)
async def get_report(job: JobDep, services: ServicesDep) -> Response:
    """Show the measurements of a rendered or checked video."""
    return _reported(job, services.files.workspace(job.id).report, "application/json")


@router.head("/{job_id}/sheet.jpg", include_in_schema=False)
@router.get(
    "/{job_id}/sheet.jpg",
    response_class=FileResponse,
    responses=documented(*_RESULT_PROBLEMS, also=sent_file("A JPEG.", {"image/jpeg": BYTES})),
)
async def get_sheet(job: JobDep, services: ServicesDep) -> Response:
    """Show sample frames of a rendered video beside its footage, or of a checked video."""
    return _reported(job, services.files.workspace(job.id).sheet, "image/jpeg")


def _reported(job: Job, path: Path, media_type: str) -> SentFile:
    """Return a file of a job's report. Raises ``NotFound`` if it never has one."""
    if job.kind is JobKind.AVATAR:
        raise NotFound(f"Job {job.id} made an avatar; only checks (check=true) and renders have a report.")
    _check_succeeded(job)
    gone = NotFound(
        f"Job {job.id} has no report: an earlier release ran it, or the report could not be written."
    )
    headers = {"Cache-Control": "private, no-cache"}
    return SentFile(path, media_type=media_type, gone=gone, headers=headers, tag=tag_of(job))


def _check_succeeded(job: Job) -> None:
    """Raise the error that says why a job has no result, if it has none."""
    if not job.state.is_terminal:
        raise JobNotFinished(f"Job {job.id} is {job.state}; follow it at /v1/jobs/{job.id}/events.")
    if job.state is JobState.CANCELED:
        raise JobCanceled(f"Job {job.id} was canceled and has no result.")
    if job.error is not None:
        raise JobFailed(f"Job {job.id} has no result because it failed: {job.error['detail']}")


@router.delete("/{job_id}", status_code=204, responses=documented(*JOB_PROBLEMS))
async def delete_job(job: JobDep, services: ServicesDep) -> None:
    """Cancel a queued or running job; delete a finished one with its files."""
    if not job.state.is_terminal:
        job = await services.scheduler.cancel(job.id)
        with move_on_after(CANCEL_SECONDS):
            job = await wait_for(services, job)
        if job.state is not JobState.SUCCEEDED:
            return
    if await on_table(services.table.delete_finished, job.id):
        await services.scheduler.forget_files(job.id)
    elif services.scheduler.is_open(job.id):
        raise Unavailable("The job's end is not on record yet; try again in a few seconds.")
