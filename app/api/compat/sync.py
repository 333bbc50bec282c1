"""Sync.so's API, version 2 (https://sync.so/docs/api-reference), with its own form of errors."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from app.api.compat import common
from app.api.compat.common import Asked, Meaning
from app.api.dependencies import Services, ServicesDep
from app.api.problems import Responses
from app.errors import InvalidRequest, JobNotFound, MouthpieceError
from app.jobs.job import Job, JobState

API: Final = "sync"

_STATUSES: Final = {
    JobState.QUEUED: "PENDING",
    JobState.RUNNING: "PROCESSING",
    JobState.SUCCEEDED: "COMPLETED",
    JobState.FAILED: "FAILED",
    JobState.CANCELED: "REJECTED",
}
_AS_THEY_ARE: Final = frozenset({401, 404, 500, 502, 503, 507})
"""Statuses that the client knows; of what the caller can fix, it knows 400 only."""
_DONE_ANYWAY: Final = frozenset({"occlusion_detection_enabled", "model_mode"})
"""Options that ask for what is done in any case, or that only chose among models."""


class Generation(BaseModel):
    """A render, as Sync shows it."""

    id: str = Field(description="The job's id.")
    createdAt: datetime = Field(description="When it was queued.")  # noqa: N815 - as it is there
    status: str = Field(description="`PENDING`, `PROCESSING`, `COMPLETED`, `FAILED` or `REJECTED`.")
    model: str = Field(description="As it was sent.")
    input: list[Any] = Field(description="The request; long values are shortened.")
    options: dict[str, Any] | None = Field(description="As they were sent.")
    webhookUrl: str | None = Field(description="As it was sent.")  # noqa: N815
    outputUrl: str | None = Field(description="Where the video can be fetched.")  # noqa: N815
    outputDuration: float | None = Field(None, description="Always null.")  # noqa: N815
    error: str | None = Field(description="Why there is no video: a sentence.")
    error_code: str | None = Field(description="The same, for programs.")
    warnings: list[str] = Field(description="What was changed, dropped or is doubtful.")


class GenerationError(BaseModel):
    """An error in Sync's form."""

    statusCode: int = Field(description="The status of the response.")  # noqa: N815
    message: str = Field(description="A sentence: what is wrong and how to fix it.")
    error: str = Field(description="The name of that status.")


def speak(request: Request) -> None:
    """Have what goes wrong with this request said in Sync's form."""
    request.state.error_form = _error


def _error(error: MouthpieceError) -> Response:
    status = error.status if error.status in _AS_THEY_ARE else 400
    said = GenerationError(statusCode=status, message=error.detail, error=HTTPStatus(status).phrase)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
    return JSONResponse(said.model_dump(), status, headers)


_ERRORS: Final[Responses] = {status: {"model": GenerationError} for status in sorted({400, *_AS_THEY_ARE})}
router = APIRouter(prefix="/v2", tags=["compat: Sync"], responses=_ERRORS)

_ITEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"enum": ["video", "image", "audio", "text"]},
        "url": {"type": "string", "description": "An address, or a `data:` URI."},
        "provider": {
            "type": "object",
            "properties": {"script": {"type": "string"}, "voiceId": {"type": "string"}},
            "description": "For text: the words, and a voice of the text-to-speech server.",
        },
    },
}
_FILE: Final = {"type": "string", "contentMediaType": "application/octet-stream"}
_VIDEO: Final = _FILE | {"description": "A video or a photo of a person."}
_AUDIO: Final = _FILE | {"description": "What the person says."}
_BODY: Final = common.json_body(
    {
        "model": {"type": "string", "description": "Repeated in responses, otherwise ignored."},
        "input": {
            "type": "array",
            "items": _ITEM,
            "description": "A video or an image, and audio or text.",
        },
        "options": {
            "type": "object",
            "properties": {"sync_mode": {"enum": list(common.TIMING)}},
            "description": "How the video is rendered; any parameter of `POST /v1/renders`.",
        },
        "webhookUrl": {"type": "string", "description": "Where to `POST` the generation."},
    },
    required=["input"],
    form={"video": _VIDEO, "audio": _AUDIO},
)


@router.post("/generate", status_code=201, openapi_extra=_BODY)
async def generate(request: Request, services: ServicesDep) -> Generation:
    """Queue a generation."""
    return generation_of(await common.submit(request, services, API, _read))


@router.get("/generate/{generation_id}")
async def get(
    generation_id: Annotated[str, Path(description="The job's id.")], request: Request, services: ServicesDep
) -> Generation:
    """Show a generation."""
    return generation_of(await common.find(request, services, API, generation_id))


@router.get("/generations")
async def list_generations(
    request: Request,
    services: ServicesDep,
    status: Annotated[list[str], Query(description="Only those in these states.")] = [],  # noqa: B006
    ids: Annotated[list[str], Query(description="Only these.")] = [],  # noqa: B006 - only read
) -> list[Generation]:
    """List the generations among the newest hundred jobs, newest first; or those in `ids`."""
    named, wanted = _split(ids), _split(status)
    jobs = await _named(request, services, named) if named else (await common.newest(services, API))[0]
    found = [generation_of(job) for job in jobs]
    return [each for each in found if not wanted or each.status in wanted]


def generation_of(job: Job) -> Generation:
    """Return a job as Sync shows it."""
    shown = Asked.of(job).shown or {}
    return Generation(
        id=job.id,
        createdAt=job.created_at,
        status=_STATUSES[job.state],
        model=str(shown.get("model") or "mouthpiece"),
        input=shown.get("input") or [],
        options=shown.get("options"),
        webhookUrl=shown.get("webhookUrl"),
        outputUrl=common.video_of(job),
        error=common.problem_of(job),
        error_code=job.error["type"].rsplit(":", 1)[-1] if job.error else None,
        warnings=[warning["detail"] for warning in job.warnings],
    )


def news_of(job: Job) -> dict[str, Any]:
    """Return what a webhook says of a job that has ended."""
    return generation_of(job).model_dump(mode="json")


def _read(body: Mapping[str, Any]) -> Meaning:
    given = body.get("input")
    options = body.get("options") or {}
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise InvalidRequest("input: must be a list of objects with a type and a url.")
    if not isinstance(options, dict):
        raise InvalidRequest("options: must be an object.")
    if body.get("segments"):
        raise InvalidRequest("segments: not supported; make one generation for each segment.")
    rest = {name: value for name, value in body.items() if name not in _SEEN}
    fields = common.renamed(rest, {})
    for item in given:
        _take(item, fields)
    for name, value in options.items():
        if name == "sync_mode" and value is not None:
            fields |= common.timed(value)
        elif name not in _DONE_ANYWAY and value is not None:
            fields[f"options.{name}"] = value
    if hook := common.address_of("webhookUrl", body.get("webhookUrl")):
        fields["webhook_url"] = hook
    shown = {"model": body.get("model"), "input": given, "options": options or None, "webhookUrl": hook}
    return Meaning(fields, shown)


_SEEN: Final = frozenset({"model", "input", "options", "segments", "webhookUrl"})


def _take(item: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """Add what one input means to the fields. Raises ``InvalidRequest``."""
    kind = item.get("type")
    match kind:
        case "video" | "image":
            meant = {"video": item.get("url")}
        case "audio":
            meant = {"audio": item.get("url")}
        case "text":
            provider = item.get("provider")
            spoken = provider if isinstance(provider, dict) else {}
            meant = {"text": spoken.get("script"), "voice": spoken.get("voiceId")}
        case _:
            raise InvalidRequest(
                f"input: {str(kind)[:40]!r} is not a type of input; send video, audio or text."
            )
    if not next(iter(meant.values())):
        raise InvalidRequest(f"input: the {kind} lacks its url or script; stored assets are not supported.")
    if any(name in fields for name in meant):
        raise InvalidRequest(f"input: there is more than one {kind}; send only one.")
    fields |= {name: value for name, value in meant.items() if value}
    for name in ("segments_secs", "segments_frames"):
        if item.get(name):
            raise InvalidRequest(f"input: {name} is not supported; trim the video before you send it.")


async def _named(request: Request, services: Services, ids: list[str]) -> list[Job]:
    jobs = []
    for named in ids[: common.LISTED]:
        try:
            jobs.append(await common.find(request, services, API, named))
        except JobNotFound:
            continue
    return jobs


def _split(values: list[str]) -> list[str]:
    return [part.strip() for value in values for part in value.split(",") if part.strip()]
