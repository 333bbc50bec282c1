"""What the adapters have in common: a request of another service's client becomes a render of ours.

A job keeps under ``compat`` in its parameters whose client asked for it, what answers repeat of the request,
and by what address the client reached the service.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Any, Final

from anyio import move_on_after
from fastapi import Request

from app.api.dependencies import Services
from app.api.renders import submit_render
from app.api.submission import CANCEL_SECONDS, wait_while_connected
from app.errors import (
    InvalidRequest,
    JobNotFinished,
    JobNotFound,
    ShuttingDown,
)
from app.jobs.job import Job, JobState, format_of

COMPAT: Final = "compat"
LISTED: Final = 100
"""How many of the newest jobs a list looks at."""

TIMING: Final[Mapping[str, Mapping[str, str]]] = {
    "bounce": {"loop": "pingpong"},
    "pingpong": {"loop": "pingpong"},
    "loop": {"loop": "restart"},
    "cut_off": {"length": "shortest"},
    "silence": {"length": "longest", "loop": "hold"},
    "remap": {"loop": "stretch"},
}
"""What ``sync_mode`` of Sync.so, and of those who have its models, means here."""

_LONGEST_SHOWN: Final = 500
_MOST_SHOWN: Final = 16 << 10
"""Characters of JSON that answers repeat of a request: they are read with each job, in lists, too."""
_DEEPEST_SHOWN: Final = 8
_arriving: Final[set[str]] = set()


@dataclass(frozen=True)
class Meaning:
    """What a request of another service's client asks for."""

    fields: dict[str, Any]
    """Our fields, as a body of JSON has them; those that mean nothing are named in the job's warnings."""
    shown: dict[str, Any]
    """What answers repeat of the request."""


@dataclass(frozen=True)
class Asked:
    """What a job keeps of the request of another service's client."""

    api: str = ""
    base: str = ""
    """The address by which the client reached the service."""
    id: str | None = None
    """The id that the client gave it, if it did."""
    shown: Mapping[str, Any] | None = None
    told: bool = False
    """Whether it named an address where its end is told."""

    @classmethod
    def of(cls, job: Job) -> "Asked":
        """Return what a job keeps; nothing if it was asked for in our own words."""
        return cls(**job.params.get(COMPAT, {}))


async def submit(
    request: Request,
    services: Services,
    api: str,
    read: Callable[[Mapping[str, Any]], Meaning],
    *,
    own_id: str | None = None,
    may_replace: bool = False,
    waited_for: bool = False,
) -> Job:
    """Queue the render that a request asks for; ``read`` tells what its body, a JSON object, means.

    ``own_id`` is the id that the client gives it; with ``may_replace`` that of a job that has ended, too,
    which stays, with its video, if the request is refused or fails. Raises what ``submit_render`` raises, and
    ``JobNotFinished`` while another request with that id is being received, or its job is there.
    """
    asked = Asked(api, base_of(request), own_id)
    kept: dict[str, Any] = {COMPAT: asked.__dict__ | {"shown": {}}}

    def translate(values: dict[str, Any]) -> dict[str, Any]:
        meant = read(values)
        kept[COMPAT] |= {"shown": shown_of(meant.shown), "told": "webhook_url" in meant.fields}
        return meant.fields

    job_id = None if own_id is None else id_of(request, api, own_id)
    with _alone(job_id):
        if job_id is not None and await _is_in_the_way(services, job_id, may_replace):
            raise JobNotFinished("A request with this ID was received a moment ago; query its status.")
        return await submit_render(
            request,
            services,
            waited_for=waited_for,
            translate=translate,
            more=lambda: kept,
            job_id=job_id,
            replaces=job_id is not None,  # files of one of that id that has expired may still be going
        )


async def find(request: Request, services: Services, api: str, named: str) -> Job:
    """Return the job that a client of ``api`` means by its own id or ours. Raises ``JobNotFound``."""
    for job_id in (id_of(request, api, named), named):
        if job_id.isascii() and job_id.isalnum():
            with suppress(JobNotFound):
                job = await services.scheduler.get(job_id)
                if Asked.of(job).api == api:
                    return job
    raise JobNotFound(f"There is no request {named[:80]!r}; it may have expired.")


async def wait(request: Request, services: Services, job: Job, seconds: float) -> Job:
    """Return a job when it has ended, or after so many seconds as it stands then."""
    with suppress(ShuttingDown), move_on_after(seconds):
        return await wait_while_connected(request, services, job)
    return await services.scheduler.get(job.id)


async def cancel(request: Request, services: Services, job: Job) -> Job:
    """Ask for the end of a job, unless it has ended, and return how it stands then."""
    if job.state.is_terminal:
        return job
    return await wait(request, services, await services.scheduler.cancel(job.id), CANCEL_SECONDS)


async def newest(services: Services, api: str, cursor: int | None = None) -> tuple[list[Job], int | None]:
    """Return jobs of clients of ``api`` among the newest ones from a cursor on, and the next cursor."""
    page = await services.scheduler.page(limit=LISTED, cursor=cursor)
    return [job for job in page.jobs if Asked.of(job).api == api], page.next_cursor


def id_of(request: Request, api: str, own_id: str) -> str:
    """Return our id of a job to which a client gave one: another for each API, and for each key."""
    owner = getattr(request.state, "owner", None) or ""
    return sha256(f"{api}\0{owner}\0{own_id}".encode("utf-8", "replace")).hexdigest()[:32]


def base_of(request: Request) -> str:
    """Return the address by which a client reached the service, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def video_of(job: Job) -> str | None:
    """Return where a job's video can be fetched, without a key; None if it has none."""
    if job.state is not JobState.SUCCEEDED:
        return None
    return f"{Asked.of(job).base}/outputs/{job.id}.{format_of(job.params)}"


def problem_of(job: Job) -> str | None:
    """Return the sentence that says why a job has no video; None if it has one, or is not done."""
    if job.state is JobState.CANCELED:
        return "The job was canceled before it was finished."
    return job.error["detail"] if job.error else None


def seconds_of(job: Job) -> float:
    """Return how long a job has been worked on, seconds."""
    if job.started_at is None or job.finished_at is None:
        return 0.0
    return round((job.finished_at - job.started_at).total_seconds(), 3)


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return fields under our names. Raises ``InvalidRequest`` if two of them mean the same."""
    ours: dict[str, Any] = {}
    for name, value in values.items():
        ours_name = names.get(name, name)
        if value in (None, ""):
            continue
        if ours_name in ours:
            raise InvalidRequest(f"{name}: another field has the same meaning; send only one of them.")
        ours[ours_name] = value
    return ours


def timed(mode: Any) -> Mapping[str, str]:
    """Return our fields for a ``sync_mode``. Raises ``InvalidRequest``."""
    if not isinstance(mode, str) or mode not in TIMING:
        known = ", ".join(TIMING)
        raise InvalidRequest(f"sync_mode: {str(mode)[:40]!r} is not supported; send one of {known}.")
    return TIMING[mode]


def json_body(
    properties: Mapping[str, Any], required: Sequence[str] = (), form: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return OpenAPI's description of a body: a JSON object, or a form with the fields of ``form``."""
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if form:
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": dict(form)}}
    return {"requestBody": {"required": True, "content": content}}


def address_of(name: str, value: Any) -> str | None:
    """Return an address that a request may give; None if it gives none. Raises ``InvalidRequest``."""
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{name}: must be a string, an http:// or https:// address.")
    return value or None


def strings(value: Any) -> list[str]:
    """Return the strings of a list; none of anything else."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


async def _is_in_the_way(services: Services, job_id: str, may_replace: bool) -> bool:
    """Return whether there is a job of an id that another one may not replace."""
    if may_replace:
        return services.scheduler.is_open(job_id)
    with suppress(JobNotFound):
        return bool(await services.scheduler.get(job_id))
    return False


@contextmanager
def _alone(job_id: str | None) -> Iterator[None]:
    """Keep a second request with the same id off while the first is being received."""
    if job_id is None:
        yield
        return
    if job_id in _arriving:
        raise JobNotFinished("Another request with this id is being received; wait for its answer.")
    _arriving.add(job_id)
    try:
        yield
    finally:
        _arriving.discard(job_id)


def shown_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what answers repeat of a request: without the files in it, and not more than can be kept.

    Of what is too much, empty lists and objects are left.
    """
    shown = {name: _shortened(value, 1) for name, value in said.items()}
    if len(json.dumps(shown)) <= _MOST_SHOWN:
        return shown
    return {name: type(value)() if isinstance(value, list | dict) else value for name, value in shown.items()}


def _shortened(value: Any, depth: int) -> Any:
    match value:
        case str():
            whole = value.encode("utf-8", "replace").decode()  # half a character cannot be sent
            return whole if len(whole) <= _LONGEST_SHOWN else f"{whole[:60]}…"
        case float() if not isfinite(value):
            return str(value)
        case dict() | list() if depth == _DEEPEST_SHOWN:
            return "…"
        case dict():
            some = list(value.items())[:50]
            return {_shortened(name, depth)[:100]: _shortened(each, depth + 1) for name, each in some}
        case list():
            return [_shortened(each, depth + 1) for each in value[:50]]
    return value
