"""The HTTP service: the application factory and its lifespan."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from socket import socket
from typing import Any, Final, TypedDict

import structlog
import uvicorn
from anyio import to_thread
from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from app import __version__
from app.api import avatars, compat, description, jobs, llms, operations, problems, renders, studio, webhooks
from app.api.admission import AdmissionQueue
from app.api.connections import connections_for, listen_more, protocol_for
from app.api.dependencies import Services, require_key
from app.api.fragment_readers import FragmentReaders
from app.api.metrics import Metrics, RequestMetrics, Scraped
from app.api.models import news_of
from app.api.normalization import RequestNormalizer
from app.api.origins import METHODS, READ, SENT, OriginGuard
from app.api.shutdown import ShutdownResponder
from app.api.speech import Speaker
from app.backend import make_backend
from app.deliveries.deliverer import Deliverer, Terms
from app.errors import InvalidRequest, Unauthorized
from app.jobs.files import DataFolder
from app.jobs.housekeeping import Housekeeper
from app.jobs.job import Ended, Job
from app.logs import configure_logs
from app.outside.allowance import Allowance
from app.outside.fetching import Fetcher, FetchTimeouts
from app.settings import Settings, get_settings, unknown_settings
from app.spans import Spans

log = structlog.stdlib.get_logger(__name__)

GRACE_SECONDS: Final = 3
"""How long open requests may go on once the service is told to stop; then the workers are ended."""


class State(TypedDict):
    """What a request finds in ``request.state``."""

    services: Services


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; uvicorn runs it as a factory, in one process."""
    settings = settings or get_settings()
    configure_logs(settings.log_format, settings.log_level)
    for name, meant in unknown_settings():
        log.warning("unknown_setting", name=name, **({"meant": meant} if meant else {}))
    metrics = Metrics()
    spans = Spans.to(settings.otlp_url) if settings.otlp_url else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        async with _running(settings, metrics, spans) as services:
            app.state.close = services.scheduler.close
            yield {"services": services}

    app = FastAPIOffline(  # its /docs loads nothing from elsewhere
        redoc_url=None,
        title="Mouthpiece",
        version=__version__,
        summary="Makes a filmed person say new words.",
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/", "description": "This service."}],
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=description.operation_id,
    )
    app.state.close = lambda: None
    app.add_middleware(RequestNormalizer)
    app.add_middleware(
        OriginGuard, hosts={*settings.allowed_hosts, settings.host}, origins=settings.cors_origins
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=READ,
        )
    app.add_middleware(ShutdownResponder)
    app.add_middleware(RequestMetrics, metrics=metrics, spans=spans)
    app.add_middleware(AdmissionQueue)
    problems.install_handlers(app)
    # Only where there are keys, so that /openapi.json says of this very service whether it asks for one.
    locks, refusals = ([Depends(require_key)], [Unauthorized]) if settings.api_keys else ([], [])
    for module in (avatars, renders, jobs, webhooks, operations):
        app.include_router(
            module.router,
            dependencies=locks,
            responses=problems.documented(*refusals, InvalidRequest),
        )
    compat.mount(app, settings.compat, keyed=bool(settings.api_keys))
    app.include_router(operations.public)
    app.include_router(llms.router)
    studio.mount(app)
    description.complete(app)
    return app


def serve(settings: Settings) -> None:
    """Run the service until it is told to stop. Raises ``DataFolderError``."""
    configure_logs(settings.log_format, settings.log_level)  # opening the job database may have news
    files = DataFolder(settings.data_dir)
    with files.lock():
        backend = make_backend(settings, files, lambda _: None)
        with backend.table.holding():
            backend.engine.dispose()
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http=protocol_for(connections_for(settings.max_connections)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    _Server(config).run()


class _Server(uvicorn.Server):
    """Answers those who wait for jobs before it waits for their connections to close."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to take requests."""
        await super().startup(sockets)
        await listen_more(self)
        gc.freeze()  # modules and routes stay: to search them for garbage would stop the loop for 0.3 s

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop taking requests, and end those that are open."""
        application: Any = self.config.app
        application.state.close()
        await super().shutdown(sockets)


@asynccontextmanager
async def _running(settings: Settings, metrics: Metrics, spans: Spans | None) -> AsyncIterator[Services]:
    """Keep everything that stands behind the API running for as long as the block lasts."""
    files = DataFolder(settings.data_dir)
    with files.lock(), ExitStack() as stack:

        def ended(job: Ended) -> None:
            metrics.job_ended(job)
            if spans:
                spans.job(job)
            deliverer.wake()

        if spans:
            stack.callback(spans.close)
        backend = make_backend(settings, files, ended)
        stack.callback(backend.engine.dispose)
        stack.enter_context(backend.table.holding())
        table, store, scheduler = backend.table, backend.avatars, backend.scheduler
        deliverer = Deliverer(scheduler.records, files, _news_of, _terms(settings), metrics.delivery_ended)
        housekeeper = Housekeeper(
            table,
            files,
            store,
            scheduler.forget_files,
            job_ttl=settings.job_ttl,
            avatar_ttl=settings.implicit_avatar_ttl,
        )
        ready, frames = scheduler.check_ready, settings.frames_dir
        metrics.watch(Scraped(table, scheduler.pool, store, settings.max_queued, ready, frames))
        await to_thread.run_sync(housekeeper.sweep)
        await scheduler.start()
        chores = [asyncio.create_task(work) for work in (housekeeper.run(), deliverer.run())]
        try:
            async with Speaker(settings) as speaker:
                yield Services(
                    settings,
                    table,
                    scheduler,
                    files,
                    store,
                    metrics,
                    _fetcher(settings),
                    speaker,
                    deliverer,
                    FragmentReaders(),
                )
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.wait(chores)
            await scheduler.stop()


def _news_of(job: Job) -> dict[str, Any]:
    """Return what a webhook says of a job that has ended, in the words in which it was asked for."""
    return compat.news_of(job) or news_of(job)


def _fetcher(settings: Settings) -> Fetcher:
    return Fetcher(
        Allowance.of(settings.fetch),
        at_a_time=settings.max_fetches,
        timeouts=FetchTimeouts(settings.fetch_seconds),
    )


def _terms(settings: Settings) -> Terms:
    secret = settings.webhook_secret
    return Terms(
        allowed=Allowance.of(settings.fetch),
        own_url=settings.webhook_url,
        secret=secret.get_secret_value() if secret else None,
        pauses=settings.webhook_pauses,
        seconds=settings.fetch_seconds,
    )
