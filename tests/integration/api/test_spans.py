"""Spans as a collector receives them: real OTLP, over HTTP."""

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.avatars.store import AvatarStore
from app.errors import EngineUnavailable
from app.jobs.job import Ended, Job, JobKind, JobState, utc_now
from app.spans import Spans
from tests.integration.api.conftest import Start
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.neighbour import Neighbour
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Neighbour]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")  # milliseconds
    with Neighbour().open() as there:
        yield there


def received(collector: Neighbour) -> list[Any]:
    """Return the spans that came."""
    spans: list[Any] = []
    for taken in collector.taken:
        assert taken.path == "/v1/traces"
        packed = taken.headers.get("content-encoding") == "gzip"
        message = ExportTraceServiceRequest.FromString(gzip.decompress(taken.body) if packed else taken.body)
        for resource in message.resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert named["service.name"] == "mouthpiece"
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    return spans


async def test_a_render_is_a_tree_of_spans_below_its_callers(
    start: Start, collector: Neighbour, tmp_path: Path
) -> None:
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest("anna"))
    client = await start(otlp_url=collector.url)
    answer = await client.post(
        "/v1/avatars/anna/renders", files={"audio": b"x"}, headers={"traceparent": f"{CALLER}-01"}
    )
    assert answer.status_code == 200
    await until(lambda: len(received(collector)) == 4)
    spans = {span.name: span for span in received(collector)}
    assert set(spans) == {"POST /v1/avatars/{avatar_id}/renders", "job render", "queue", "work"}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    request, job = spans["POST /v1/avatars/{avatar_id}/renders"], spans["job render"]
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert job.parent_span_id == request.span_id
    assert spans["queue"].parent_span_id == spans["work"].parent_span_id == job.span_id
    assert spans["queue"].end_time_unix_nano == spans["work"].start_time_unix_nano
    assert job.start_time_unix_nano >= request.start_time_unix_nano
    assert job.end_time_unix_nano == spans["work"].end_time_unix_nano
    assert {each.key for each in job.attributes} >= {"mouthpiece.job", "mouthpiece.state"}


async def test_what_the_caller_does_not_record_is_not_sent(start: Start, collector: Neighbour) -> None:
    client = await start(otlp_url=collector.url)
    await client.get("/v1/jobs", headers={"traceparent": f"{CALLER}-00"})
    await client.get("/livez")
    await client.get("/v1/avatars")
    await until(lambda: received(collector))
    assert [span.name for span in received(collector)] == ["GET /v1/avatars"]


def test_each_stage_is_a_span_as_long_as_it_was_busy(collector: Neighbour) -> None:
    now = utc_now()
    job = Job(
        "one",
        JobKind.RENDER,
        "anna",
        state=JobState.FAILED,
        traceparent=f"{CALLER}-01",
        created_at=now,
        started_at=now,
        finished_at=now,
    )
    spans = Spans.to(collector.url)
    spans.job(Ended(job, 2.0, 100, 4.0, {"model": 1.5, "encode": 0.5}))
    spans.close()
    found = {span.name: span for span in received(collector)}
    for stage, seconds in (("stage model", 1.5), ("stage encode", 0.5)):
        span = found[stage]
        assert span.end_time_unix_nano - span.start_time_unix_nano == seconds * 1e9
        assert span.parent_span_id == found["work"].span_id
    assert found["job render"].status.code == 2


def test_spans_are_sent_by_no_proxy_of_the_environment(
    collector: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    spans = Spans.to(collector.url)
    spans.job(Ended(Job("one", JobKind.RENDER, "anna", traceparent=f"{CALLER}-01", finished_at=utc_now())))
    spans.close()
    assert {span.name for span in received(collector)} == {"job render", "queue"}


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    spans = Spans.to(f"http://127.0.0.1:{free_port()}")
    spans.job(Ended(Job("one", JobKind.RENDER, "anna", traceparent=f"{CALLER}-01", finished_at=utc_now())))
    spans.close()


def test_what_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(EngineUnavailable, match=r"-m pip install 'mouthpiece\[otel\]'"):
        Spans.to("http://127.0.0.1:4318")
