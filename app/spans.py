"""Spans of requests and jobs for a collector of OpenTelemetry, over OTLP; needs the extra ``otel``.

They are sent by the web process, for workers have no network, and made when what they are of has ended: so
their ids are those that logs and ``traceparent`` have, and nothing else has to know of them.
"""

from collections.abc import Mapping
from datetime import datetime
from threading import Thread
from typing import TYPE_CHECKING, Final, Self

from app import __version__
from app.errors import EngineUnavailable
from app.extras import install_command
from app.jobs.job import Ended, JobState
from app.tracing import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

CLOSE_SECONDS: Final = 2.0
SEND_SECONDS: Final = 10.0

Value = str | int | float
_SECOND: Final = 1_000_000_000


class Spans:
    """Sends spans, in the background."""

    def __init__(self, processor: "SpanProcessor") -> None:
        from opentelemetry.sdk.resources import Resource

        self._processor = processor
        self._resource = Resource({"service.name": "mouthpiece", "service.version": __version__})

    @classmethod
    def to(cls, url: str) -> Self:
        """Return what sends to a collector's address. Raises ``EngineUnavailable`` without the packages."""
        try:
            import requests
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise EngineUnavailable(
                f"MOUTHPIECE_OTLP_URL needs the extra 'otel' ({error}): "
                f"run `{install_command('mouthpiece[otel]')}`."
            ) from error
        endpoint = f"{url.rstrip('/')}/v1/traces"
        session = requests.Session()
        session.trust_env = False  # no proxy
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS, session=session)
        return cls(BatchSpanProcessor(exporter))

    def close(self) -> None:
        """Send what is left, if that is taken soon: a service that is stopped waits for no collector."""
        sending = Thread(target=self._processor.shutdown, daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)

    def request(self, span: Span, method: str, route: str, status: int, began: int, ended: int) -> None:
        """Tell of a request; times are nanoseconds since 1970."""
        named: dict[str, Value] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        self._send(span, f"{method} {route}", began, ended, named, server=True, failed=status >= 500)

    def job(self, ended: Ended) -> None:
        """Tell of a job that has ended: its wait, its work, and what each stage took of that.

        Stages overlap; each begins with the work and is as long as it was busy.
        """
        job = ended.job
        if job.traceparent is None or job.finished_at is None:
            return
        whole = Span.read(job.traceparent).child()
        named: dict[str, Value] = {
            "mouthpiece.job": job.id,
            "mouthpiece.kind": job.kind.value,
            "mouthpiece.state": job.state.value,
            "mouthpiece.avatar": job.avatar_id,
            "mouthpiece.attempts": job.attempts,
            "mouthpiece.frames": ended.frames,
            "mouthpiece.media_seconds": ended.media_seconds,
        }
        end, failed = _nanoseconds(job.finished_at), job.state is JobState.FAILED
        self._send(whole, f"job {job.kind.value}", _nanoseconds(job.created_at), end, named, failed=failed)
        begun = job.started_at or job.finished_at
        self._send(whole.child(), "queue", _nanoseconds(job.created_at), _nanoseconds(begun))
        if job.started_at is None:
            return
        work = whole.child()
        self._send(work, "work", _nanoseconds(begun), end, {"mouthpiece.busy_seconds": ended.work_seconds})
        for stage, seconds in ended.stage_seconds.items():
            self._send(
                work.child(),
                f"stage {stage}",
                _nanoseconds(begun),
                _nanoseconds(begun) + int(seconds * _SECOND),
            )

    def _send(
        self,
        span: Span,
        name: str,
        began: int,
        ended: int,
        attributes: Mapping[str, Value] = {},
        *,
        server: bool = False,
        failed: bool = False,
    ) -> None:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(span_id: str) -> SpanContext:
            flags = TraceFlags(int(span.sampled))
            return SpanContext(int(span.trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)

        if span.sampled:
            self._processor.on_end(
                ReadableSpan(
                    name,
                    context=context(span.span_id),
                    parent=context(span.parent_id) if span.parent_id else None,
                    resource=self._resource,
                    attributes=dict(attributes),
                    kind=SpanKind.SERVER if server else SpanKind.INTERNAL,
                    status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
                    start_time=began,
                    end_time=max(began, ended),
                )
            )


def _nanoseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000) * 1000
