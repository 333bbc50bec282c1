"""Renders over HTTP: audio in, a video out; now, later, or while it is being made."""

from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.api.dependencies import PrefersAsync, Services, ServicesDep
from app.api.forms import FileField, Upload
from app.api.models import JobResource
from app.api.parameters import SPEECH, RenderParameters
from app.api.problems import documented
from app.api.submission import (
    accepted,
    content_location,
    failure,
    multipart_body,
    submit_upload,
    wait_for,
)
from app.api.videos import MEDIA_TYPE, finished_video, unfinished_video
from app.errors import (
    AddressRefused,
    AvatarDamaged,
    AvatarDeleted,
    AvatarNotFound,
    FetchFailed,
    InvalidRequest,
    JobCanceled,
    MediaTooLong,
    NoSound,
    NotAudio,
    NotReady,
    QueueFull,
    RenderProcessCrashed,
    RenderProcessStalled,
    ShuttingDown,
    SpeechFailed,
    StorageFull,
    StorageReadOnly,
    TooBusy,
    TooManyFrames,
    TooMuchMemory,
    UnsupportedMedia,
    UploadTooLarge,
)
from app.jobs.job import Job, JobKind, NewJob

router = APIRouter(prefix="/v1/avatars/{avatar_id}/renders", tags=["renders"])

AUDIO: Final = FileField("audio", "What the avatar shall say: sound in any common format.", or_text=True)

Stream = Annotated[bool, Query(description="Send a fragmented MP4 while it is being rendered.")]


@router.post(
    "",
    response_class=Response,
    openapi_extra=multipart_body([AUDIO], RenderParameters),
    responses=documented(
        AvatarNotFound,
        AvatarDeleted,
        JobCanceled,
        UploadTooLarge,
        MediaTooLong,
        TooManyFrames,
        TooMuchMemory,
        UnsupportedMedia,
        NotAudio,
        NoSound,
        InvalidRequest,
        AddressRefused,
        FetchFailed,
        QueueFull,
        NotReady,
        ShuttingDown,
        StorageFull,
        StorageReadOnly,
        TooBusy,
        AvatarDamaged,
        RenderProcessCrashed,
        RenderProcessStalled,
        SpeechFailed,
        also={
            200: {"content": {MEDIA_TYPE: {}}, "description": "The video."},
            202: {"model": JobResource, "description": "With `Prefer: respond-async`: the job."},
        },
    ),
)
async def create_render(
    avatar_id: str,
    request: Request,
    services: ServicesDep,
    prefers_async: PrefersAsync,
    stream: Stream = False,
) -> Response:
    """Have an avatar say something.

    The answer is the whole video when it is ready; with `stream=true` a fragmented one while it is being
    made, whose connection is cut if the render fails; with `Prefer: respond-async` the job to follow, at
    once; with both, a job whose video can be streamed. `Content-Location` names the job in any case. A
    client that hangs up does not stop the job: `DELETE` it for that.
    """
    await to_thread.run_sync(services.avatars.path, avatar_id)

    def describe(job_id: str, upload: Upload, given: Any) -> NewJob:
        params = given.model_dump(mode="json", exclude=SPEECH)
        params |= {"filename": upload.files[AUDIO.name].filename, "stream": stream}
        return NewJob(job_id, JobKind.RENDER, avatar_id, params)

    job = await submit_upload(
        request,
        services,
        files=[AUDIO],
        parameters=RenderParameters,
        describe=describe,
        waited_for=stream or not prefers_async,
    )
    if prefers_async:
        return accepted(job)
    if stream:
        return await unfinished_video(request, services, job)
    return await _whole(request, services, job)


async def _whole(request: Request, services: Services, job: Job) -> Response:
    job = await wait_for(services, job)
    result = services.files.workspace(job.id).result
    return failure(job) or await finished_video(request, job, result, content_location(job))
