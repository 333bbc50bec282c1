"""Routes for operators: liveness, readiness, information and metrics."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app import __version__
from app.api.dependencies import ServicesDep
from app.api.models import Info, Limits, Model, Sandbox
from app.api.problems import documented
from app.errors import NotReady, Unavailable
from app.sandbox import protection
from app.threads import on_scrape

router = APIRouter(prefix="/v1", tags=["operations"])
public = APIRouter(tags=["operations"])


@public.get("/livez", response_class=PlainTextResponse)
async def alive() -> str:
    """Liveness: the web process responds, even while the model loads."""
    return "ok\n"


@public.get("/readyz", response_class=PlainTextResponse, responses=documented(NotReady))
async def ready(services: ServicesDep) -> str:
    """Readiness: the model is loaded and has passed its warm-up, or why not."""
    services.scheduler.check_ready()
    return "ok\n"


@public.get("/metrics", response_class=PlainTextResponse, responses=documented(Unavailable))
async def metrics(services: ServicesDep) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(await on_scrape(services.metrics.text), media_type=CONTENT_TYPE_LATEST)


@router.get("/info", responses=documented(NotReady))
async def get_info(services: ServicesDep) -> Info:
    """The model, its licence, and what it runs on."""
    model, settings = services.scheduler.pool.model, services.settings
    if model is None:
        services.scheduler.check_ready()
        raise NotReady("The model is loading; try again in a few seconds.")
    return Info(
        version=__version__,
        model=Model.model_validate(model),
        backend=model["engine"],
        device=model["device"],
        precision=model["dtype"],
        text_to_speech=services.speaker.there,
        limits=Limits.model_validate(settings, from_attributes=True),
        sandbox=Sandbox.model_validate(protection(), from_attributes=True),
    )
