"""Replicate's HTTP API, and that of Cog, its open-source server, for the client that people already have.

`/v1/predictions` is Replicate's (https://replicate.com/docs/reference/http), `/predictions` Cog's
(https://cog.run/http): there a request waits for its prediction unless it says otherwise.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from app.api.compat import common
from app.api.compat.common import Meaning
from app.api.compat.prediction import Prediction, news_of, prediction_of
from app.api.dependencies import JOB_PROBLEMS, Services, ServicesDep
from app.api.problems import documented
from app.api.renders import ONE_CALL_PROBLEMS
from app.errors import InvalidRequest, JobNotFinished, JobNotFound, NotReady, Unavailable
from app.jobs.job import Job

API: Final = "replicate"
router = APIRouter(tags=["compat: Replicate"])

MOST_WAIT: Final = 60
"""How long `Prefer: wait` waits at most, seconds, as there."""
FOR_EVER: Final = 1e9

_NAMES: Final = {
    "face": "video",
    "image": "video",
    "input_video": "video",
    "source_video": "video",
    "video_url": "video",
    "audio_url": "audio",
    "audio_file": "audio",
    "input_audio": "audio",
    "voice_id": "voice",
}
"""What models there call the video and the sound."""


class PredictionPage(BaseModel):
    """Some predictions, newest first."""

    previous: None = Field(None, description="Always null: pages are read forward.")
    next: str | None = Field(description="The address of the next page.")
    results: list[Prediction] = Field(description="The predictions of this page.")


class Version(BaseModel):
    """A model's version, of which the client reads the type of output."""

    id: str = Field(description="As it was asked for.")
    created_at: datetime = Field(description="Always 1970: no version is known here.")
    cog_version: str = Field(description="Of Cog, whose API this is.")
    openapi_schema: dict[str, Any] = Field(description="Of what a prediction puts out.")


_BODY: Final = common.json_body(
    {
        "input": {
            "type": "object",
            "description": "`video` and `audio` (addresses or `data:` URIs) or `text`; "
            "`sync_mode`; any parameter of `POST /v1/renders`.",
        },
        "version": {"type": "string", "description": "Repeated in responses, otherwise ignored."},
        "webhook": {"type": "string", "description": "Where to `POST` the prediction."},
        "webhook_events_filter": {
            "type": "array",
            "items": {"enum": ["start", "output", "logs", "completed"]},
            "description": "Only `completed` is ever sent.",
        },
    },
    required=["input"],
)
_ANSWERS: Final = documented(
    *ONE_CALL_PROBLEMS,
    JobNotFinished,
    also={
        200: {"model": Prediction, "description": "The finished prediction."},
        201: {"model": Prediction, "description": "The prediction."},
        202: {"model": Prediction, "description": "The prediction, still in progress."},
    },
)

Owner = Annotated[str, Path(description="The first part of the model's name. The name means nothing here.")]
Name = Annotated[str, Path(description="The second part of the model's name.")]
VersionId = Annotated[str, Path(description="Any version.")]
Cursor = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="As `next` of the last page has it.")]
PredictionId = Annotated[str, Path(description="The job's id, or the one that the client gave it.")]
Prefer = Annotated[
    str,
    Header(description="`wait` or `wait=SECONDS`: respond when it has ended; `respond-async`: at once."),
]


@router.post("/v1/predictions", status_code=201, openapi_extra=_BODY, responses=_ANSWERS)
async def create(request: Request, services: ServicesDep, prefer: Prefer = "") -> Response:
    """Make a prediction; responds at once, or with `Prefer: wait` when it has ended."""
    return await _create(request, services, prefer, model="")


@router.post(
    "/v1/models/{owner}/{name}/predictions", status_code=201, openapi_extra=_BODY, responses=_ANSWERS
)
@router.post(
    "/v1/deployments/{owner}/{name}/predictions", status_code=201, openapi_extra=_BODY, responses=_ANSWERS
)
async def create_of(
    owner: Owner, name: Name, request: Request, services: ServicesDep, prefer: Prefer = ""
) -> Response:
    """Make a prediction of a model, whose name is repeated."""
    return await _create(request, services, prefer, model=f"{owner}/{name}")


@router.post("/predictions", openapi_extra=_BODY, responses=_ANSWERS)
async def create_and_wait(
    request: Request,
    services: ServicesDep,
    prefer: Prefer = "",
) -> Response:
    """Make a prediction, as Cog does: responds when it has ended, or with `respond-async` at once."""
    return await _wait(request, services, prefer, await _submit(request, services))


@router.put("/predictions/{prediction_id}", openapi_extra=_BODY, responses=_ANSWERS)
async def put(
    prediction_id: PredictionId,
    request: Request,
    services: ServicesDep,
    prefer: Prefer = "",
) -> Response:
    """Make a prediction with the client's id; if it exists, only return it."""
    try:
        job = await common.find(request, services, API, prediction_id)
    except JobNotFound:
        return await _wait(request, services, prefer, await _submit(request, services, own_id=prediction_id))
    return _answer(job, 200 if job.state.is_terminal else 202)


@router.get("/v1/predictions", responses=documented(InvalidRequest, NotReady, Unavailable))
async def page(request: Request, services: ServicesDep, cursor: Cursor = None) -> PredictionPage:
    """List predictions, newest first."""
    jobs, following = await common.newest(services, API, cursor)
    here = f"{common.base_of(request)}/v1/predictions?cursor={following}"
    return PredictionPage(next=here if following else None, results=[prediction_of(job) for job in jobs])


@router.get("/v1/predictions/{prediction_id}", responses=documented(*JOB_PROBLEMS))
@router.get("/predictions/{prediction_id}", responses=documented(*JOB_PROBLEMS))
async def get(prediction_id: PredictionId, request: Request, services: ServicesDep) -> Prediction:
    """Show a prediction."""
    return prediction_of(await common.find(request, services, API, prediction_id))


@router.post("/v1/predictions/{prediction_id}/cancel", responses=documented(*JOB_PROBLEMS))
@router.post("/predictions/{prediction_id}/cancel", responses=documented(*JOB_PROBLEMS))
async def cancel(prediction_id: PredictionId, request: Request, services: ServicesDep) -> Prediction:
    """Cancel a prediction; one that has ended stays as it is."""
    job = await common.find(request, services, API, prediction_id)
    return prediction_of(await common.cancel(request, services, job))


@router.get("/v1/models/{owner}/{name}/versions/{version}")
async def get_version(owner: Owner, name: Name, version: VersionId) -> Version:
    """Describe a version of any model: its output is the address of a video."""
    output = {"title": "Output", "type": "string", "format": "uri"}
    return Version(
        id=version,
        created_at=datetime.fromtimestamp(0).astimezone(),
        cog_version="0.9.0",
        openapi_schema={"components": {"schemas": {"Output": output}}},
    )


async def _create(request: Request, services: Services, prefer: str, *, model: str) -> Response:
    seconds = _seconds(prefer, without=0)
    job = await _submit(request, services, model=model, waited_for=seconds > 0)
    return _answer(await common.wait(request, services, job, seconds) if seconds else job, 201)


async def _submit(
    request: Request,
    services: Services,
    *,
    model: str = "",
    own_id: str | None = None,
    waited_for: bool = True,
) -> Job:
    def read(body: Mapping[str, Any]) -> Meaning:
        given = body.get("input")
        if not isinstance(given, dict):
            raise InvalidRequest("input: must be an object with video and audio.")
        fields = common.renamed(given, _names(given))
        fields |= common.timed(fields.pop("sync_mode")) if "sync_mode" in fields else {}
        hooks = [common.address_of(name, body.get(name)) for name in ("webhook", "webhook_completed")]
        hook = next(filter(None, hooks), None)
        events = body.get("webhook_events_filter")
        if hook and (events is None or "completed" in common.strings(events)):
            fields["webhook_url"] = hook
        return Meaning(fields, {"input": given, "version": body.get("version"), "model": model})

    return await common.submit(request, services, API, read, own_id=own_id, waited_for=waited_for)


def _names(given: Mapping[str, Any]) -> Mapping[str, str]:
    """Return our names of what is given; beside a video, ``face`` is our option that says which face."""
    videos = {name for name in given if name == "video" or _NAMES.get(name) == "video"}
    return _NAMES if len(videos) == 1 else {name: ours for name, ours in _NAMES.items() if name != "face"}


async def _wait(request: Request, services: Services, prefer: str, job: Job) -> Response:
    seconds = _seconds(prefer, without=FOR_EVER)
    job = await common.wait(request, services, job, seconds) if seconds else job
    return _answer(job, 200 if job.state.is_terminal else 202)


def _answer(job: Job, status: int) -> JSONResponse:
    return JSONResponse(news_of(job), status)


def _seconds(prefer: str, *, without: float) -> float:
    """Return how long a request is willing to wait; ``without`` a word of it so long."""
    for preference in prefer.lower().split(","):
        if preference.split(";")[0].strip() == "respond-async":
            return 0
        if found := re.fullmatch(r"wait(=([0-9]{1,9}))?", preference.strip()):
            return min(MOST_WAIT, int(found[2])) if found[2] else MOST_WAIT
    return without
