"""From an upload to a job, and from the job to a response: what avatars and renders share."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from anyio import CancelScope
from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from app.api.attendance import while_there
from app.api.dependencies import Services
from app.api.forms import TEXT, VOICE, FileField, Upload
from app.api.idempotency import check_same, claim_of, claimed, fingerprint_of, turn
from app.api.json_body import Translate
from app.api.models import JobResource, job_path
from app.api.parameters import ADDRESSES
from app.api.problems import invalid, problem_response
from app.api.uploads import CheckField, fetch_files, paths_of, receive_upload
from app.errors import JobCanceled, ShuttingDown
from app.jobs.job import Job, JobState, NewJob, new_id
from app.notices import Notice, NoticeCode, notice
from app.threads import on_uploads

log = structlog.stdlib.get_logger(__name__)

Parameters = TypeVar("Parameters", bound=BaseModel)


async def submit_upload(
    request: Request,
    services: Services,
    *,
    files: Sequence[FileField],
    parameters: type[Parameters],
    describe: Callable[[str, Upload, Parameters], NewJob],
    waited_for: bool,
    check_field: CheckField | None = None,
    translate: Translate | None = None,
    job_id: str | None = None,
) -> Job:
    """Store the files of the request's form and queue the job that ``describe`` makes of its id and the form.

    A text that stands for a file is said before the job is queued: so a text or a voice that the server
    refuses is a problem of this request, and a job that is tried again does not pay for its words twice.
    ``waited_for`` says that the client stays until the job is done, or watches what it makes.
    ``translate`` is that of :func:`receive_upload`; ``job_id`` a new one by default.
    What can be refused without the body is refused before it is read. A request that is repeated under its
    ``Idempotency-Key`` gets its first job. If anything fails, nothing is left.
    """
    owner = getattr(request.state, "owner", None)
    claim = claim_of(request, owner)
    if await claimed(services, claim) is None:
        services.scheduler.check_usable()
        services.scheduler.check_room(owner)
    job_id = job_id or new_id()
    destination = services.files.upload(job_id)
    try:
        upload = await receive_upload(
            request,
            files=files,
            fields=parameters.model_fields,
            destination=destination,
            max_bytes=services.settings.max_upload_bytes,
            check_field=None if claim else check_field,
            check_fields=partial(_validated, parameters),
            translate=translate,
        )
        fingerprint = fingerprint_of(request, upload)
        async with turn(claim):
            if known := await claimed(services, claim):
                check_same(known, fingerprint)
                await _forget(services, job_id)
                return known
            if claim and check_field:
                for name, value in upload.fields.items():
                    await check_field(name, value)
            given = _validated(parameters, upload.fields)
            addresses = {name: getattr(given, name, None) for name in ADDRESSES}
            deliveries = services.deliverer.planned(**addresses)
            upload = await _completed(services, upload, files, paths_of(files, destination), owner)
            described = describe(job_id, upload, given)
            new = replace(
                described,
                params={name: value for name, value in described.params.items() if name not in ADDRESSES},
                deliveries=deliveries,
                owner=owner,
                claim=claim,
                fingerprint=fingerprint if claim else None,
                traceparent=request.state.span.traceparent,
                waited_for=waited_for,
                warnings=[*_warnings(upload), *described.warnings],
            )
            with CancelScope(shield=True):
                job = await services.scheduler.submit(new)
    except Exception:  # but not if the service ends: the job may be on record, or the next start sweeps
        await _forget(services, job_id)
        raise
    structlog.contextvars.bind_contextvars(job=job.id)
    log.info("job_submitted", kind=job.kind, avatar=job.avatar_id)
    return job


async def _forget(services: Services, job_id: str) -> None:
    """Delete what has arrived; not on the event loop, which a large file would hold up."""
    with CancelScope(shield=True):
        await on_uploads(services.files.forget, job_id)


async def _completed(
    services: Services,
    upload: Upload,
    files: Sequence[FileField],
    paths: dict[str, Path],
    owner: str | None,
) -> Upload:
    """Return an upload with the files that are fetched, and those that are said."""
    upload = await fetch_files(upload, paths, services.fetcher, services.settings.max_upload_bytes, owner)
    for file in files:
        if file.or_text and TEXT in upload.fields:
            said, voice = upload.fields[TEXT], upload.fields.get(VOICE)
            spoken = await services.speaker.say(said, voice, paths[file.name])
            upload = replace(upload, files=upload.files | {file.name: spoken})
    return upload


async def wait_for(services: Services, job: Job) -> Job:
    """Return the job in its terminal state. Raises what :func:`follow` raises."""
    async with aclosing(follow(services, job)) as news:
        async for latest in news:
            job = latest
    return job


async def wait_while_there(request: Request, services: Services, job: Job) -> Job:
    """Return the job in its terminal state. Raises ``ClientDisconnect`` if the client goes before that."""
    async with while_there(request.receive):
        return await wait_for(services, job)
    raise ClientDisconnect


async def follow(services: Services, job: Job) -> AsyncGenerator[Job, None]:
    """Yield a job now and whenever it has changed, at last in its terminal state.

    Raises ``JobNotFound``, and ``ShuttingDown`` with the address where the job is found later.
    """
    try:
        async for latest in services.scheduler.follow(job.id):
            yield latest
    except ShuttingDown as error:
        error.location = job_path(job.id)
        raise


def accepted(job: Job) -> JSONResponse:
    """Return the answer to a client that does not want to wait."""
    headers = {"Location": job_path(job.id), "Preference-Applied": "respond-async"} | content_location(job)
    return JSONResponse(JobResource.of(job).model_dump(mode="json"), 202, headers)


def failure(job: Job) -> JSONResponse | None:
    """Return the answer to a client whose job ended without a result; None if it did not."""
    if job.state is JobState.CANCELED:
        problem = JobCanceled("The job was canceled before it finished.").problem()
        return problem_response(problem, content_location(job))
    return problem_response(job.error, content_location(job)) if job.error else None


def content_location(job: Job) -> dict[str, str]:
    """Return the header that names the job behind an answer."""
    return {"Content-Location": job_path(job.id)}


def _warnings(upload: Upload) -> list[Notice]:
    if not upload.ignored:
        return []
    detail = f"These fields are unknown here and were ignored: {upload.strange}."
    return [notice(NoticeCode.UNKNOWN_FIELDS, detail)]


def _validated(parameters: type[Parameters], fields: Mapping[str, str]) -> Parameters:
    try:
        return parameters.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from error
