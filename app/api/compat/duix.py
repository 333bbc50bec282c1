"""Duix.Avatar's video service (HeyGem), as its desktop app and scripts for it use it.

It answers with 200 whatever happens and says in ``code`` how it went. There a job is forgotten as soon as its
end was asked for, or the service is restarted; here it is kept as all jobs are.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.types import Message

from app.api.bodies import short_body
from app.api.compat import common
from app.api.compat.common import Asked, Meaning
from app.api.dependencies import ServicesDep
from app.api.json_body import check_whole
from app.errors import (
    InvalidRequest,
    JobNotFinished,
    JobNotFound,
    MouthpieceError,
    Unauthorized,
    Unavailable,
)
from app.jobs.job import Job, JobState

API: Final = "duix"

LONGEST_CODE: Final = 200
"""Characters."""

FINE: Final = 10000
BUSY: Final = 10001
WRONG: Final = 10002
UNKNOWN: Final = 10004
BROKEN: Final = 9999

_DONE: Final = 2
_FAILED: Final = 3
_STATUSES: Final = {JobState.QUEUED: 1, JobState.RUNNING: 1, JobState.SUCCEEDED: _DONE}
_NAMES: Final = {"video_url": "video", "audio_url": "audio"}
_SWITCHES: Final = frozenset({"chaofen", "watermark_switch", "digital_auth", "pn"})
"""What its app always sends: 0 is off, and is what there is here; `pn` means nothing."""


class Answer(BaseModel):
    """The response to every request."""

    code: int = Field(
        description="10000: success; 10001: busy, try again; 10002: invalid request; "
        "10004: no such job; 9999: failed."
    )
    success: bool = Field(description="Whether the request could be answered.")
    msg: str = Field(description="A sentence: what was done, or what is wrong.")
    data: dict[str, Any] = Field(
        description="Of a job: `code`, `status` (1 in progress, 2 done, 3 failed), `progress` (0 to 100), "
        "`result` (the address of the video), `msg`, `cost` (seconds)."
    )


def speak(request: Request) -> None:
    """Have what goes wrong with this request said in Duix's form."""
    request.state.error_form = _error


def _error(error: MouthpieceError) -> Response:
    match error:
        case JobNotFound():
            code = UNKNOWN
        case Unavailable() | JobNotFinished():
            code = BUSY
        case _:
            code = WRONG if error.status < 500 else BROKEN
    answer = Answer(code=code, success=code == UNKNOWN, msg=error.detail, data={})
    return JSONResponse(answer.model_dump(), 401 if isinstance(error, Unauthorized) else 200)


router = APIRouter(prefix="/easy", tags=["compat: Duix"])

_WANTED: Final = "send a JSON object with code, video_url and audio_url"
_ADDRESS: Final = {"type": "string", "description": "An http:// or https:// address."}
_BODY: Final = common.json_body(
    {
        "code": {
            "type": "string",
            "maxLength": LONGEST_CODE,
            "description": "The id that the client gives the job.",
        },
        "video_url": _ADDRESS,
        "audio_url": _ADDRESS,
    },
    required=["code", "video_url", "audio_url"],
)


@router.post("/submit", openapi_extra=_BODY)
async def submit(request: Request, services: ServicesDep) -> Answer:
    """Queue a job.

    If a job with this `code` is in progress, nothing is queued; if it has ended, the new job replaces it.
    """
    body = await short_body(request)
    code = _code_of(body)
    try:
        job = await common.find(request, services, API, code)
    except JobNotFound:
        job = None
    if job is not None and not job.state.is_terminal:
        return Answer(code=FINE, success=True, msg="The job is in progress.", data={"code": code})
    again = Request(request.scope, _once(body))
    await common.submit(again, services, API, _read, own_id=code, may_replace=True)
    return Answer(code=FINE, success=True, msg="The job was queued.", data={"code": code})


@router.get("/query")
async def query(
    request: Request, services: ServicesDep, code: Annotated[str, Query(description="The job's id.")] = ""
) -> Answer:
    """Show the state of a job."""
    if not code:
        raise InvalidRequest("code: missing; send the code of the job.")
    return Answer(
        code=FINE, success=True, msg="", data=_standing(await common.find(request, services, API, code))
    )


def news_of(job: Job) -> dict[str, Any]:
    """Return what a webhook says of a job that has ended."""
    return _standing(job)


def _standing(job: Job) -> dict[str, Any]:
    status = _STATUSES.get(job.state, _FAILED)
    said = {1: "The video is being made.", _DONE: "The video is ready."}
    return {
        "code": Asked.of(job).id,
        "status": status,
        "progress": 100 if status == _DONE else int(100 * job.fraction),
        "result": common.video_of(job) or "",
        "msg": common.problem_of(job) or said.get(status, ""),
    } | ({"cost": common.seconds_of(job)} if job.finished_at else {})


def _read(body: Mapping[str, Any]) -> Meaning:
    fields = common.renamed(body, _NAMES)
    del fields["code"]
    for name in _SWITCHES & fields.keys():
        if name == "pn" or str(fields[name]) == "0":
            del fields[name]
    for name in ("video", "audio"):
        if "://" not in str(fields.get(name, "")):
            raise InvalidRequest(
                f"{name}_url: must be an http:// or https:// address; this service cannot read your files."
            )
    return Meaning(fields, {})


def _code_of(body: bytes) -> str:
    """Return the id that a body gives its job. Raises ``InvalidRequest``."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"The body is not JSON; {_WANTED}.") from None
    code = values.get("code") if isinstance(values, dict) else None
    if code is None or code == "":
        raise InvalidRequest(f"code: missing; {_WANTED}.")
    if isinstance(code, bool) or not isinstance(code, str | int):
        raise InvalidRequest(f"code: not a string; {_WANTED}.")
    code = str(code)
    check_whole("code", code)
    if len(code) > LONGEST_CODE:
        raise InvalidRequest(f"code: longer than {LONGEST_CODE} characters.")
    return code


def _once(body: bytes) -> Any:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
