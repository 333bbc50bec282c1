"""Prometheus metrics, and the log line of each request."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.job_metrics import JobMetrics
from app.avatars.store import AvatarStore
from app.errors import NotReady
from app.jobs.job import DeliveryKind, DeliveryState, JobKind, JobState
from app.jobs.pool import Pool
from app.jobs.table import JobTable
from app.spans import Spans
from app.tracing import Span

log = structlog.stdlib.get_logger(__name__)

REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
QUIET_PATHS: Final = ("/livez", "/readyz", "/metrics", "/studio/")
"""Asked for every few seconds by machines, or a dozen at a time by the page: logged at debug level only."""


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self.requests = Counter(
            "mouthpiece_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "mouthpiece_http_request_duration_seconds",
            "Time from the first byte of a request to the last of its response.",
            ["method", "route"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.job_ended = JobMetrics(registry).ended
        self._deliveries = Counter(
            "mouthpiece_deliveries",
            "Results and webhooks that were delivered or given up.",
            ["kind", "state"],
            registry=registry,
        )
        for what, state in product(DeliveryKind, (DeliveryState.DELIVERED, DeliveryState.FAILED)):
            self._deliveries.labels(what, state)  # there at 0, as the failed jobs are

    def watch(self, scraped: "Scraped") -> None:
        """Add what is read when somebody scrapes."""
        self._registry.register(scraped)

    def delivery_ended(self, kind: str, state: str) -> None:
        """Count a delivery that was made, or given up."""
        self._deliveries.labels(kind, state).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True, eq=False)
class Scraped(Collector):
    """What is read from the job table, the pool and the volume when somebody scrapes."""

    table: JobTable
    pool: Pool
    avatars: AvatarStore
    queue_limit: int
    check_ready: Callable[[], None]
    """Raises ``NotReady`` while the service is not."""
    frames_dir: Path | None = None
    """Where decoded frames lie, unless beside their avatars."""

    def describe(self) -> Iterable[Metric]:
        """Return nothing: it is asked at registration, when there may be no table to read yet."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield what can be read: where a table or a volume fails, the rest says so."""
        with suppress(SQLAlchemyError, OSError):
            yield from self._of_table()
        yield from self._of_pool()
        with suppress(OSError):
            yield GaugeMetricFamily(
                "mouthpiece_avatar_cache_bytes",
                "Decoded frames of all avatars, on the disk.",
                value=self.avatars.cache_bytes(self.frames_dir),
            )

    def _of_table(self) -> Iterable[Metric]:
        counts = self.table.counts()
        jobs = GaugeMetricFamily("mouthpiece_jobs", "Jobs on record.", labels=["kind", "state"])
        for kind in JobKind:
            for state in JobState:
                jobs.add_metric([kind, state], counts.get((kind, state), 0))
        yield jobs
        waiting = sum(count for (_, state), count in counts.items() if state is JobState.QUEUED)
        yield GaugeMetricFamily("mouthpiece_queue_depth", "Jobs waiting.", value=waiting)
        yield GaugeMetricFamily("mouthpiece_queue_limit", "Most jobs that may wait.", value=self.queue_limit)

    def _of_pool(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "mouthpiece_ready",
            "1 if jobs can be taken and done, as /readyz says, else 0.",
            value=self._ready(),
        )
        yield GaugeMetricFamily("mouthpiece_workers", "Workers that are there.", value=self.pool.size)
        yield GaugeMetricFamily("mouthpiece_workers_idle", "Workers without a call.", value=self.pool.idle)
        restarts = Metric("mouthpiece_render_process_restarts", "Dead render processes replaced.", "counter")
        restarts.add_sample("mouthpiece_render_process_restarts_total", {}, self.pool.restarts)
        yield restarts

    def _ready(self) -> bool:
        try:
            self.check_ready()
        except NotReady:
            return False
        return True


class RequestMetrics:
    """ASGI middleware that counts, times, logs and traces each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics, spans: Spans | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        span = Span.of_request(Headers(scope=scope).get("traceparent"))
        scope.setdefault("state", {})["span"] = span
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(trace_id=span.trace_id)
        began = time.time_ns()
        try:
            await self._app(scope, receive, note)
        finally:
            seconds = time.perf_counter() - started
            self._record(scope, status, seconds)
            if self._spans and not scope["path"].startswith(QUIET_PATHS):
                route = getattr(scope.get("route"), "path", "none")
                ended = began + int(seconds * 1e9)
                self._spans.request(span, scope["method"], route, status, began, ended)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in KNOWN_METHODS else "other"
        # The route's pattern, not the path: one series a route, however many ids there are.
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(method, route).observe(seconds)
        say = log.debug if scope["path"].startswith(QUIET_PATHS) else log.info
        say("request", method=method, path=scope["path"], status=status, seconds=round(seconds, 4))


KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})
