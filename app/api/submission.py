"""From an upload to a job, and from the job to a response: what avatars and renders share."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog
from anyio import CancelScope
from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from app.api.dependencies import Services
from app.api.disconnects import cancel_on_disconnect
from app.api.forms import TEXT, VOICE, FileField, Upload
from app.api.idempotency import check_same, claim_of, claimed, fingerprint_of, turn
from app.api.json_body import Translate
from app.api.models import JobResource, job_path
from app.api.parameters import ADDRESSES
from app.api.problems import invalid, problem_response
from app.api.uploads import CheckField, fetch_files, paths_of, receive_upload
from app.errors import (
    AddressRefused,
    FetchFailed,
    IdempotencyKeyReused,
    InvalidRequest,
    JobCanceled,
    MediaTooLong,
    NotReady,
    QueueFull,
    RenderProcessCrashed,
    RenderProcessStalled,
    ShuttingDown,
    StorageDamaged,
    StorageFull,
    StorageReadOnly,
    TooManyFrames,
    TooMuchMemory,
    Unavailable,
    UnsupportedMedia,
    UploadTooLarge,
)
from app.jobs.job import Job, JobState, NewJob, new_id
from app.notices import Notice, NoticeCode, notice

log = structlog.stdlib.get_logger(__name__)

SUBMISSION_PROBLEMS: Final = (
    InvalidRequest,
    JobCanceled,
    UploadTooLarge,
    MediaTooLong,
    TooManyFrames,
    TooMuchMemory,
    UnsupportedMedia,
    AddressRefused,
    FetchFailed,
    IdempotencyKeyReused,
    QueueFull,
    NotReady,
    Unavailable,
    StorageFull,
    StorageReadOnly,
    StorageDamaged,
    RenderProcessCrashed,
    RenderProcessStalled,
)
"""What may be wrong with any request that becomes a job, or with the job."""

CANCEL_SECONDS: Final = 2.0
"""How long a cancel waits for the worker to have stopped before it is answered."""

Parameters = TypeVar("Parameters", bound=BaseModel)


@dataclass(frozen=True)
class Submission(Generic[Parameters]):
    """A request with files, on its way to a job."""

    request: Request
    services: Services
    files: Sequence[FileField]
    parameters: type[Parameters]
    describe: Callable[[str, Upload, Parameters], NewJob]
    """Makes the job of its id and the form."""
    _: KW_ONLY
    waited_for: bool
    """Whether the client stays until the job is done, or watches what it makes."""
    check_field: CheckField | None = None
    check: Callable[[], Awaitable[object]] | None = None
    """Raises what can be said against the request before its body is read; not of one that is repeated."""
    translate: Translate | None = None
    """That of :func:`receive_upload`."""
    job_id: str = field(default_factory=new_id)
    replaces: bool = False
    """Whether the job takes the place of one of its id that has ended, once it is on record."""
    _staging_id: str = field(init=False, default_factory=new_id)

    async def submit(self) -> Job:
        """Store the files of the request's form and queue the job that is described.

        A text that stands for a file is said before the job is queued: so a text or a voice that the server
        refuses is a problem of this request, and a job that is tried again does not pay for its words twice.
        What can be refused without the body is refused before it is read. A request that is repeated under
        its ``Idempotency-Key`` gets its first job. If anything fails, nothing is left.
        """
        claim = claim_of(self.request, self._owner)
        if await claimed(self.services, claim) is None:
            if self.check:
                await self.check()
            self.services.scheduler.check_usable()
            self.services.scheduler.check_room(self._owner)
        try:
            upload = await self._receive(None if claim else self.check_field)
            fingerprint = fingerprint_of(self.request, upload)
            async with turn(claim):
                if known := await claimed(self.services, claim):
                    check_same(known, fingerprint)
                    await self._forget()
                    return known
                new = await self._described(upload, claim, fingerprint)
                with CancelScope(shield=True):
                    job = await self.services.scheduler.submit(new, self._arrival if self.replaces else None)
        except Exception:  # but not if the service ends: the job may be on record, or the next start sweeps
            await self._forget()
            raise
        structlog.contextvars.bind_contextvars(job=job.id)
        log.info("job_submitted", kind=job.kind, avatar=job.avatar_id)
        return job

    @property
    def _owner(self) -> str | None:
        """The digest of the key that sent it."""
        return getattr(self.request.state, "owner", None)

    @property
    def _arrival(self) -> str:
        """The id under which its files arrive: its own, unless another job has files there until then."""
        return self._staging_id if self.replaces else self.job_id

    @property
    def _destination(self) -> Path:
        return self.services.files.upload(self._arrival)

    async def _receive(self, check_field: CheckField | None) -> Upload:
        return await receive_upload(
            self.request,
            files=self.files,
            fields=self.parameters.model_fields,
            destination=self._destination,
            max_bytes=self.services.settings.max_upload_bytes,
            check_field=check_field,
            check_fields=partial(_validated, self.parameters),
            translate=self.translate,
        )

    async def _described(self, upload: Upload, claim: str | None, fingerprint: str) -> NewJob:
        """Complete an upload and return its job; ``claim`` is the digest of the key under which it came."""
        if claim and self.check_field:
            for name, value in upload.fields.items():
                await self.check_field(name, value)
        given = _validated(self.parameters, upload.fields)
        deliveries = self.services.deliverer.planned(
            **{name: getattr(given, name, None) for name in ADDRESSES}
        )
        upload = await self._completed(upload)
        described = self.describe(self.job_id, upload, given)
        return replace(
            described,
            params={name: value for name, value in described.params.items() if name not in ADDRESSES},
            deliveries=deliveries,
            owner=self._owner,
            claim=claim,
            fingerprint=fingerprint if claim else None,
            traceparent=self.request.state.span.traceparent,
            waited_for=self.waited_for,
            warnings=[*_warnings(upload), *described.warnings],
        )

    async def _completed(self, upload: Upload) -> Upload:
        """Return an upload with the files that are fetched, and those that are said."""
        paths, services = paths_of(self.files, self._destination), self.services
        upload = await fetch_files(
            upload, paths, services.fetcher, services.settings.max_upload_bytes, self._owner
        )
        for file in self.files:
            if file.or_text and TEXT in upload.fields:
                said, voice = upload.fields[TEXT], upload.fields.get(VOICE)
                spoken = await services.speaker.say(said, voice, paths[file.name])
                upload = replace(upload, files=upload.files | {file.name: spoken})
        return upload

    async def _forget(self) -> None:
        """Delete what has arrived; not on the event loop, which a large file would hold up."""
        await self.services.scheduler.forget_arrival(self._arrival)


async def wait_for(services: Services, job: Job) -> Job:
    """Return the job in its terminal state. Raises what :func:`follow` raises."""
    async with aclosing(follow(services, job)) as news:
        async for latest in news:
            job = latest
    return job


async def wait_while_connected(request: Request, services: Services, job: Job) -> Job:
    """Return the job in its terminal state. Raises ``ClientDisconnect`` if the client goes before that."""
    async with cancel_on_disconnect(request.receive):
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
