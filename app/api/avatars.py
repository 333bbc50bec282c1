"""Avatars over HTTP: make, list, show, preview, delete."""

from dataclasses import replace
from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from app.api.dependencies import PrefersAsync, Services, ServicesDep
from app.api.forms import Upload
from app.api.models import Avatar, AvatarList, JobResource
from app.api.parameters import AvatarParameters
from app.api.problems import documented
from app.api.submission import (
    accepted,
    content_location,
    failure,
    multipart_body,
    submit_upload,
    wait_for,
)
from app.api.uploads import CheckField
from app.avatars.manifest import ID_PATTERN
from app.avatars.store import PREVIEW
from app.errors import (
    AvatarDamaged,
    AvatarExists,
    AvatarNotFound,
    InvalidRequest,
    JobCanceled,
    MediaTooLong,
    NoFace,
    NotAVideo,
    NotReady,
    QueueFull,
    RenderProcessCrashed,
    RenderProcessStalled,
    ShuttingDown,
    StorageFull,
    TooManyPixels,
    UnsupportedMedia,
    UploadTooLarge,
)
from app.jobs.job import JobKind, NewJob, new_id

router = APIRouter(prefix="/v1/avatars", tags=["avatars"])


@router.post(
    "",
    status_code=201,
    response_model=Avatar,
    openapi_extra=multipart_body("video", "The video, in any common format.", AvatarParameters),
    responses=documented(
        AvatarNotFound,
        AvatarExists,
        UploadTooLarge,
        MediaTooLong,
        TooManyPixels,
        UnsupportedMedia,
        NotAVideo,
        NoFace,
        InvalidRequest,
        JobCanceled,
        QueueFull,
        NotReady,
        ShuttingDown,
        StorageFull,
        RenderProcessCrashed,
        RenderProcessStalled,
        also={202: {"model": JobResource, "description": "With `Prefer: respond-async`: the job."}},
    ),
)
async def create_avatar(request: Request, services: ServicesDep, prefers_async: PrefersAsync) -> Response:
    """Make an avatar of a video.

    The answer comes when the avatar is ready; with `Prefer: respond-async` it comes at once and names the
    job to follow. A client that hangs up does not stop the job: `DELETE` it for that.
    """
    job = await submit_upload(
        request,
        services,
        file_field="video",
        parameters=AvatarParameters,
        describe=_describe,
        waited_for=not prefers_async,
        check_field=_id_checker(services),
    )
    if prefers_async:
        return accepted(job)
    job = await wait_for(services, job)
    if bad := failure(job):
        return bad
    manifest = await to_thread.run_sync(services.avatars.manifest, job.avatar_id)
    avatar = Avatar.of(replace(manifest, warnings=job.warnings))
    headers = {"Location": avatar.links.self} | content_location(job)
    return JSONResponse(avatar.model_dump(mode="json"), 201, headers)


@router.get("", responses=documented())
def list_avatars(services: ServicesDep) -> AvatarList:
    """List all avatars, oldest first."""
    return AvatarList(avatars=[Avatar.of(manifest) for manifest in services.avatars.list()])


@router.get("/{avatar_id}", responses=documented(AvatarNotFound, AvatarDamaged))
def get_avatar(avatar_id: str, services: ServicesDep) -> Avatar:
    """Show an avatar."""
    return Avatar.of(services.avatars.manifest(avatar_id))


@router.head("/{avatar_id}/preview.jpg", include_in_schema=False)
@router.get(
    "/{avatar_id}/preview.jpg",
    response_class=FileResponse,
    responses=documented(
        AvatarNotFound, also={200: {"content": {"image/jpeg": {}}, "description": "A JPEG."}}
    ),
)
def get_preview(avatar_id: str, services: ServicesDep) -> Response:
    """Show one frame of an avatar with the face box and the mouth mask drawn in."""
    return FileResponse(_preview(services, avatar_id), media_type="image/jpeg")


@router.delete("/{avatar_id}", status_code=204, responses=documented(AvatarNotFound))
def delete_avatar(avatar_id: str, services: ServicesDep) -> None:
    """Delete an avatar.

    A render that is under way is finished, or fails with `avatar-deleted`; so do those that wait.
    """
    services.avatars.delete(avatar_id)


def _preview(services: Services, avatar_id: str) -> Path:
    path = services.avatars.path(avatar_id) / PREVIEW
    if not path.is_file():
        raise AvatarNotFound(f"The avatar {avatar_id!r} has no preview.")
    return path


def _describe(job_id: str, upload: Upload, given: AvatarParameters) -> NewJob:
    params = given.model_dump(mode="json", exclude={"id"}) | {"filename": upload.filename}
    return NewJob(job_id, JobKind.AVATAR, given.id or new_id(), params)


def _id_checker(services: Services) -> CheckField:
    """Return the check that refuses a taken id as soon as it is read, most often before the video."""

    def check(avatar_id: str) -> None:
        if services.avatars.exists(avatar_id):
            raise AvatarExists(f"There is an avatar {avatar_id!r} already; delete it or take another id.")
        services.table.check_avatar_free(avatar_id)

    async def check_field(name: str, value: str) -> None:
        if name == "id" and ID_PATTERN.fullmatch(value):
            await to_thread.run_sync(check, value)

    return check_field
