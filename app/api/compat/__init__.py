"""The APIs of other services, so that their clients work with this one: thin, and off unless asked for.

Each adapter is a module of routes, with what it answers beside it where that is long. It turns a request
into a render as ``POST /v1/renders`` takes it, and a job into what its client expects; it does nothing
besides.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request

from app.api.compat import duix, fal, outputs, prediction, replicate, sync
from app.api.compat.common import Asked
from app.api.compat.keys import require_vendor_key
from app.api.problems import Responses, documented
from app.errors import InvalidRequest, Unauthorized
from app.jobs.job import Job


@dataclass(frozen=True)
class Adapter:
    """The API of another service."""

    router: APIRouter
    news_of: Callable[[Job], dict[str, Any]]
    """What its webhooks say of a job that has ended."""
    speak: Callable[[Request], None] | None = None
    """Has errors said in its form; None where that is a problem document."""


ADAPTERS: Final[Mapping[str, Adapter]] = {
    replicate.API: Adapter(replicate.router, prediction.news_of),
    fal.API: Adapter(fal.router, fal.news_of),
    sync.API: Adapter(sync.router, sync.news_of, sync.speak),
    duix.API: Adapter(duix.router, duix.news_of, duix.speak),
}


def mount(app: FastAPI, names: Collection[str], *, keyed: bool) -> None:
    """Add the adapters of these names to the application; ``keyed`` says that a key is asked for."""
    for name, adapter in ADAPTERS.items():
        if name in names:
            # The form of errors is set first: that a key is lacking is said in it, too.
            first = [Depends(adapter.speak)] if adapter.speak else []
            locks = [Depends(require_vendor_key)] if keyed else []
            refusals = [Unauthorized] if keyed else []
            said: Responses = {} if adapter.speak else documented(InvalidRequest, *refusals)
            app.include_router(adapter.router, dependencies=[*first, *locks], responses=said)
    if names:
        app.include_router(outputs.router)


def news_of(job: Job) -> dict[str, Any] | None:
    """Return what a webhook says of a job; None where our own words are expected."""
    asked = Asked.of(job)
    return ADAPTERS[asked.api].news_of(job) if asked.told else None
