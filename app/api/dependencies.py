"""FastAPI dependencies as ``Annotated`` aliases, so that a route's signature reads as types."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.fragment_readers import FragmentReaders
from app.api.metrics import Metrics
from app.api.speech import Speaker
from app.avatars.store import AvatarStore
from app.deliveries.deliverer import Deliverer
from app.errors import JobNotFound, NotReady, Unauthorized, Unavailable
from app.jobs.files import DataFolder
from app.jobs.job import Job
from app.jobs.scheduler import Scheduler
from app.jobs.table import JobTable
from app.outside.fetching import Fetcher
from app.settings import Settings


@dataclass(frozen=True)
class Services:
    """What stands behind the API while the application runs."""

    settings: Settings
    table: JobTable
    scheduler: Scheduler
    files: DataFolder
    avatars: AvatarStore
    metrics: Metrics
    fetcher: Fetcher
    speaker: Speaker
    deliverer: Deliverer
    readers: FragmentReaders


async def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]

_bearer = HTTPBearer(auto_error=False, description="One of MOUTHPIECE_API_KEYS.")


async def require_key(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Raise ``Unauthorized`` unless the request carries one of the keys; note down whose it is."""
    check_key(request, services, credentials.credentials if credentials else "")


def check_key(request: Request, services: Services, key: str) -> None:
    """Raise ``Unauthorized`` unless a key that the request carries is one of ours; note down whose it is."""
    given = key.encode()
    # Every key is compared, each in constant time: how long it takes tells nothing.
    if not sum(
        hmac.compare_digest(given, key.get_secret_value().encode()) for key in services.settings.api_keys
    ):
        raise Unauthorized(
            "This service needs an API key: send 'Authorization: Bearer <key>' with a valid one."
        )
    request.state.owner = sha256(given).hexdigest()


JobPath = Annotated[str, Path(description="The id of a job.")]


async def _job(job_id: JobPath, services: ServicesDep) -> Job:
    if not job_id.isascii() or not job_id.isalnum():
        raise JobNotFound(f"There is no job {job_id[:80]!r}.")
    return await services.scheduler.get(job_id)


JobDep = Annotated[Job, Depends(_job)]
"""The job that the path names. Raises one of ``JOB_PROBLEMS``."""
JOB_PROBLEMS: Final = (JobNotFound, NotReady, Unavailable)
"""What may be wrong with any request about a job."""


async def _prefers_async(request: Request) -> bool:
    preferences = ",".join(request.headers.getlist("prefer")).split(",")
    return any(preference.split(";")[0].strip().lower() == "respond-async" for preference in preferences)


PrefersAsync = Annotated[bool, Depends(_prefers_async)]
"""Whether the client asks for the job instead of its result: ``Prefer: respond-async`` (RFC 7240)."""
