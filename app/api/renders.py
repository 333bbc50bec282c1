"""Renders over HTTP: audio in, video out; at once, later, or as a stream."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.api import description
from app.api.avatars import BACKDROP, backdrop_of
from app.api.dependencies import PrefersAsync, Services, ServicesDep
from app.api.forms import VOICE, FileField, Upload
from app.api.json_body import Translate
from app.api.models import JobResource
from app.api.parameters import SPEECH, AvatarPath, OneCallParameters, RenderParameters
from app.api.problems import Responses, documented
from app.api.submission import (
    SUBMISSION_PROBLEMS,
    Submission,
    accepted,
    content_location,
    failure,
    wait_while_connected,
)
from app.api.videos import VIDEOS, finished_video, unfinished_video
from app.avatars.options import AvatarOptions, implicit_id
from app.errors import (
    AvatarDamaged,
    AvatarDeleted,
    AvatarExists,
    AvatarNotFound,
    InvalidRequest,
    NoFace,
    NoSound,
    NotAudio,
    NotAVideo,
    SpeechFailed,
    TooManyPixels,
)
from app.jobs.job import Job, JobKind, NewJob, new_id
from app.notices import Notice, NoticeCode, notice
from app.options import read
from app.threads import on_avatars

router = APIRouter(prefix="/v1", tags=["renders"])

AUDIO: Final = FileField("audio", "What is to be said: sound in any common format.", or_text=True)
SUNG: Final = FileField(VOICE, "What the mouth follows while `audio` is heard.", required=False)
VIDEO: Final = FileField(
    "video",
    "Who says it: a video, in any common format.",
    required=False,
    instead="avatar",
    media_type="video/mp4",
)

Stream = Annotated[bool, Query(description="Stream a fragmented MP4 while it renders.")]

PROBLEMS: Final = (
    *SUBMISSION_PROBLEMS,
    AvatarNotFound,
    AvatarDamaged,
    AvatarDeleted,
    NotAudio,
    NoSound,
    SpeechFailed,
)
"""What may be wrong with any render,"""
ONE_CALL_PROBLEMS: Final = (*PROBLEMS, NotAVideo, NoFace, TooManyPixels, AvatarExists)
"""and with one whose avatar is made first."""
_ANSWERS: Final[Responses] = {
    200: {
        "content": VIDEOS,
        "description": "The video.",
        "headers": description.JOB_HEADER,
    },
    **description.accepted(JobResource),
}


@router.post(
    "/avatars/{avatar_id}/renders",
    response_class=Response,
    openapi_extra=description.upload([AUDIO, SUNG], RenderParameters),
    responses=documented(*PROBLEMS, also=_ANSWERS),
)
async def create_render(
    avatar_id: AvatarPath,
    request: Request,
    services: ServicesDep,
    prefers_async: PrefersAsync,
    stream: Stream = False,
) -> Response:
    """Have an avatar say something.

    The response is the whole video, when it is ready. With `stream=true` it is a fragmented MP4 that comes
    while it renders; if the render fails, the connection breaks. With `Prefer: respond-async` it is the job
    to follow, at once; with both, a job whose video can be streamed. `Content-Location` always names the
    job. Disconnecting does not stop it; `DELETE` does.
    """

    def describe(job_id: str, upload: Upload, given: Any) -> NewJob:
        params = _params(upload, given, stream)
        return NewJob(job_id, JobKind.RENDER, avatar_id, params)

    submission = Submission(
        request,
        services,
        [AUDIO, SUNG],
        RenderParameters,
        describe,
        waited_for=stream or not prefers_async,
        check=partial(on_avatars, services.avatars.path, avatar_id),
    )
    job = await submission.submit()
    return await _answer(request, services, job, prefers_async=prefers_async, stream=stream)


@router.post(
    "/renders",
    response_class=Response,
    openapi_extra=description.upload([AUDIO, SUNG, VIDEO, BACKDROP], OneCallParameters),
    responses=documented(*ONE_CALL_PROBLEMS, also=_ANSWERS),
)
async def create_render_at_once(
    request: Request,
    services: ServicesDep,
    prefers_async: PrefersAsync,
    stream: Stream = False,
) -> Response:
    """Have a filmed person say something: a `video`, or the id of an `avatar`, and `audio` in one call.

    The service first makes an avatar from the video, or reuses one made from the same video and fields. This
    avatar is listed only with `implicit=true`, and is deleted when it has not been used for a while. The
    job's progress covers both steps. The response is that of a render.
    """
    job = await submit_render(request, services, stream=stream, waited_for=stream or not prefers_async)
    return await _answer(request, services, job, prefers_async=prefers_async, stream=stream)


async def submit_render(
    request: Request,
    services: Services,
    *,
    waited_for: bool,
    stream: bool = False,
    translate: Translate | None = None,
    more: Callable[[], dict[str, Any]] = dict,
    job_id: str | None = None,
    replaces: bool = False,
) -> Job:
    """Queue the job of a render in one call.

    ``translate``, ``job_id`` and ``replaces`` are those of a :class:`Submission`; ``more`` gives what the job
    keeps besides its parameters, once the body is read.
    """

    def describe(job_id: str, upload: Upload, given: Any) -> NewJob:
        params = _params(upload, given, stream) | more()
        video = upload.files.get(VIDEO.name)
        if video is not None and given.avatar is None:
            params |= {"video": video.filename}
            params |= backdrop_of(upload)
            avatar_id = implicit_id(video.sha256, read(AvatarOptions, params), params.get("backdrop"))
            return NewJob(job_id, JobKind.RENDER, avatar_id, params)
        if video is None and given.avatar is not None:
            return NewJob(job_id, JobKind.RENDER, given.avatar, params, warnings=_useless(upload))
        raise InvalidRequest("Send either a 'video' or the id of an 'avatar'" + _BOTH[video is not None])

    async def check_field(name: str, value: str) -> None:
        if name == "avatar":
            await on_avatars(services.avatars.path, value)

    submission = Submission(
        request,
        services,
        [AUDIO, SUNG, VIDEO, BACKDROP],
        OneCallParameters,
        describe,
        waited_for=waited_for,
        check_field=check_field,
        translate=translate,
        job_id=job_id or new_id(),
        replaces=replaces,
    )
    return await submission.submit()


_BOTH: Final = (" to say it.", ", not both.")


def _params(upload: Upload, given: Any, stream: bool) -> dict[str, Any]:
    """Return what the job is told. Raises ``InvalidRequest`` for a format that cannot be streamed."""
    if stream and given.format != "mp4":
        raise InvalidRequest(f"format: {given.format} cannot be streamed; omit 'stream', or request mp4.")
    params: dict[str, Any] = given.model_dump(mode="json", exclude={"avatar", *SPEECH})
    if SUNG.name in upload.files:
        params |= {"voice": upload.files[SUNG.name].filename}
    return params | {"filename": upload.files[AUDIO.name].filename, "stream": stream}


def _useless(upload: Upload) -> list[Notice]:
    """Return what is to be said of parameters for avatars where there is one already."""
    given = {*upload.fields, *upload.files}
    names = ", ".join(field.name for field in fields(AvatarOptions) if field.name in given)
    detail = f"The avatar already exists; the fields that shape a new one were ignored: {names}."
    return [notice(NoticeCode.UNKNOWN_FIELDS, detail)] if names else []


async def _answer(
    request: Request, services: Services, job: Job, *, prefers_async: bool, stream: bool
) -> Response:
    if prefers_async:
        return accepted(job)
    if stream:
        return await unfinished_video(request, services, job)
    job = await wait_while_connected(request, services, job)
    return failure(job) or finished_video(services, job, content_location(job))
