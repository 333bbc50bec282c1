"""Avatars over HTTP: make, list, show, preview, delete."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from app.api import description
from app.api.dependencies import PrefersAsync, Services, ServicesDep
from app.api.forms import FileField, Upload
from app.api.models import Avatar, AvatarList, DamagedAvatar, JobResource, Problem
from app.api.parameters import AvatarParameters, AvatarPath
from app.api.problems import documented
from app.api.reports import Check
from app.api.sent_file import SentFile
from app.api.submission import (
    SUBMISSION_PROBLEMS,
    Submission,
    accepted,
    content_location,
    failure,
    wait_while_connected,
)
from app.api.uploads import CheckField
from app.avatars.manifest import ID_PATTERN, Manifest
from app.avatars.store import PREVIEW
from app.errors import (
    AvatarDamaged,
    AvatarExists,
    AvatarNotFound,
    InvalidRequest,
    JobNotFound,
    NoFace,
    NotAVideo,
    StorageReadOnly,
    TooManyPixels,
    Unavailable,
)
from app.jobs.job import JobKind, NewJob, new_id
from app.threads import AVATARS, on_avatars, on_results, on_table

router = APIRouter(prefix="/v1/avatars", tags=["avatars"])

VIDEO: Final = FileField("video", "The video, in any common format.", media_type="video/mp4")
BACKDROP: Final = FileField(
    "background",
    "A picture behind transparent footage, scaled to fill the frame.",
    required=False,
    media_type="image/png",
)
"""A text field of this name is an option of the avatar."""

OnlyCheck = Annotated[bool, Query(description="Only report how well the person in the video will speak.")]

_MADE: Final = {"Location": {"description": "The avatar's path.", "schema": {"type": "string"}}}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = f"^[0-9]{{1,18}}-{ID_PATTERN.pattern}$"


@router.post(
    "",
    status_code=201,
    response_model=Avatar,
    openapi_extra=description.upload([VIDEO, BACKDROP], AvatarParameters),
    responses=documented(
        *SUBMISSION_PROBLEMS,
        AvatarNotFound,
        AvatarDamaged,
        AvatarExists,
        TooManyPixels,
        NotAVideo,
        NoFace,
        JobNotFound,
        also={
            200: {
                "model": Check,
                "description": "With `check=true`: how well the person will speak.",
                "headers": description.JOB_HEADER,
            },
            201: {"description": "The avatar.", "headers": _MADE | description.JOB_HEADER},
            **description.accepted(JobResource),
        },
    ),
)
async def create_avatar(
    request: Request,
    services: ServicesDep,
    prefers_async: PrefersAsync,
    check: OnlyCheck = False,
) -> Response:
    """Make an avatar from a video.

    The response comes when the avatar is ready; with `Prefer: respond-async` it comes at once and names
    the job to follow. Disconnecting does not stop the job; `DELETE` does. With `check=true` no avatar is
    made: the response is a report, whose `links` lead to it and to a sheet of frames.
    """
    submission = Submission(
        request,
        services,
        [VIDEO, BACKDROP],
        AvatarParameters,
        _describe_check if check else _describe,
        waited_for=not prefers_async,
        check_field=None if check else _id_checker(services),
    )
    job = await submission.submit()
    if prefers_async:
        return accepted(job)
    job = await wait_while_connected(request, services, job)
    if bad := failure(job):
        return bad
    if check:
        try:
            report = await on_results(services.files.workspace(job.id).report.read_bytes)
        except FileNotFoundError:
            raise JobNotFound(f"The report of job {job.id} has expired.") from None
        return JSONResponse(Check.of(job, report).model_dump(mode="json"), headers=content_location(job))
    manifest = await on_avatars(services.avatars.manifest, job.avatar_id)
    avatar = Avatar.of(replace(manifest, warnings=job.warnings))
    headers = {"Location": avatar.links.self} | content_location(job)
    return JSONResponse(avatar.model_dump(mode="json"), 201, headers)


@router.get("", responses=documented(InvalidRequest, Unavailable, StorageReadOnly))
async def list_avatars(
    services: ServicesDep,
    implicit: Annotated[bool, Query(description="Include avatars made by one-call renders.")] = False,
    limit: Annotated[
        int, Query(ge=1, le=1000, description="Maximum number of avatars in the response.")
    ] = 200,
    cursor: Annotated[
        str | None, Query(pattern=_CURSOR, description="`next_cursor` of the previous response.")
    ] = None,
) -> AvatarList:
    """List avatars, oldest first."""
    manifests, damaged = await on_avatars(services.avatars.survey)
    rest = [
        manifest
        for manifest in manifests
        if (implicit or not manifest.implicit) and (cursor is None or _place(manifest) > _read_cursor(cursor))
    ]
    more = len(rest) > limit
    return AvatarList(
        avatars=[Avatar.of(manifest) for manifest in rest[:limit]],
        damaged=[] if cursor else [_damaged(name, error) for name, error in damaged.items()],
        next_cursor="-".join(map(str, _place(rest[limit - 1]))) if more else None,
    )


@router.get("/{avatar_id}", responses=documented(AvatarNotFound, AvatarDamaged, Unavailable, StorageReadOnly))
async def get_avatar(avatar_id: AvatarPath, services: ServicesDep) -> Avatar:
    """Show an avatar."""
    return Avatar.of(await on_avatars(services.avatars.manifest, avatar_id))


@router.head("/{avatar_id}/preview.jpg", include_in_schema=False)
@router.get(
    "/{avatar_id}/preview.jpg",
    response_class=FileResponse,
    responses=documented(
        AvatarNotFound,
        AvatarDamaged,
        Unavailable,
        StorageReadOnly,
        also=description.sent_file("A JPEG.", {"image/jpeg": description.BYTES}),
    ),
)
async def get_preview(avatar_id: AvatarPath, services: ServicesDep) -> Response:
    """Show one frame of an avatar with the face box and the mouth mask drawn in."""
    manifest = await on_avatars(services.avatars.manifest, avatar_id)
    return SentFile(
        services.avatars.path(avatar_id) / PREVIEW,
        media_type="image/jpeg",
        gone=AvatarNotFound(f"The avatar {avatar_id!r} has no preview."),
        headers={"Cache-Control": "private, no-cache"},  # another one may be made under this id
        tag=f'"{manifest.created_at.timestamp():.6f}"',
        lane=AVATARS,
    )


@router.delete(
    "/{avatar_id}", status_code=204, responses=documented(AvatarNotFound, Unavailable, StorageReadOnly)
)
async def delete_avatar(avatar_id: AvatarPath, services: ServicesDep) -> None:
    """Delete an avatar.

    Its queued and running renders finish, or fail with `avatar-deleted`.
    """
    await on_avatars(services.avatars.delete, avatar_id)


def _place(manifest: Manifest) -> tuple[int, str]:
    """Return where an avatar stands in the list, also when others are made or deleted: microseconds, id."""
    return (manifest.created_at - _EPOCH) // timedelta(microseconds=1), manifest.id


def _read_cursor(cursor: str) -> tuple[int, str]:
    microseconds, _, avatar_id = cursor.partition("-")
    return int(microseconds), avatar_id


def _damaged(avatar_id: str, error: AvatarDamaged) -> DamagedAvatar:
    return DamagedAvatar(id=avatar_id, problem=Problem(**error.problem()))


def _describe(job_id: str, upload: Upload, given: Any) -> NewJob:
    params = given.model_dump(mode="json", exclude={"id"}) | {"filename": upload.files[VIDEO.name].filename}
    params |= backdrop_of(upload)
    return NewJob(job_id, JobKind.AVATAR, given.id or new_id(), params)


def backdrop_of(upload: Upload) -> dict[str, str]:
    """Return what the job of an upload is told of the background picture: its hash, if there is one."""
    return {"backdrop": upload.files[BACKDROP.name].sha256} if BACKDROP.name in upload.files else {}


def _describe_check(job_id: str, upload: Upload, given: Any) -> NewJob:
    return replace(_describe(job_id, upload, given), kind=JobKind.CHECK, avatar_id="")


def _id_checker(services: Services) -> CheckField:
    """Return the check that refuses a taken id as soon as it is read, most often before the video."""

    async def check_field(name: str, value: str) -> None:
        if name != "id" or not ID_PATTERN.fullmatch(value):
            return
        if await on_avatars(services.avatars.exists, value):
            raise AvatarExists(f"There is already an avatar {value!r}; delete it or choose another id.")
        await on_table(services.table.check_avatar_free, value)

    return check_field
