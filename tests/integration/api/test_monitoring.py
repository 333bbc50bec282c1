"""The dashboard, the alerts and the documentation speak of metrics that the service has."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.api.metrics import Metrics, Scraped
from app.avatars.store import FRAMES, AvatarStore
from app.errors import NoSound, NotReady, RenderProcessCrashed
from app.jobs.files import DataFolder
from app.jobs.job import DeliveryKind, Ended, Job, JobKind, JobState
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.settings import Settings
from app.workers.local import LocalPool
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.databases import put_fresh

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def unready() -> list[str]:
    """Why the service is not ready; nothing: it is."""
    return []


@pytest.fixture
def scraped(tmp_path: Path, unready: list[str]) -> Iterator[Scraped]:
    """What is read of a service with one avatar of 1000 cached bytes on its volume."""
    store, files = AvatarStore(tmp_path / "avatars"), DataFolder(tmp_path)
    (put_made_up(store, made_up_manifest("anna")) / FRAMES).write_bytes(bytes(1000))
    engine = open_database(put_fresh(files.database))

    def check_ready() -> None:
        for reason in unready:
            raise NotReady(reason)

    yield Scraped(JobTable(engine), LocalPool(Settings()), store, 5, check_ready)
    engine.dispose()


@pytest.fixture
def metrics(scraped: Scraped) -> Metrics:
    metrics = Metrics()
    metrics.watch(scraped)
    return metrics


@pytest.fixture
def text(metrics: Metrics) -> str:
    """What a scrape gives after a render."""
    created, begun = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, microsecond=500_000, tzinfo=UTC)
    ended = Job("1", JobKind.RENDER, "anna", state=JobState.SUCCEEDED, created_at=created, started_at=begun)
    metrics.delivery_ended("webhook", "delivered")
    metrics.job_ended(Ended(ended, 2.0, 100, 4.0, {"model": 1.5}))
    metrics.requests.labels("GET", "/", "200").inc()
    metrics.request_seconds.labels("GET", "/").observe(0.1)
    return metrics.text().decode()


def names(text: str) -> set[str]:
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def expressions(dashboard: Any) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_a_render_is_counted(text: str) -> None:
    for line in (
        'mouthpiece_jobs_ended_total{kind="render",state="succeeded"} 1.0',
        'mouthpiece_frames_total{kind="render"} 100.0',
        'mouthpiece_media_seconds_total{kind="render"} 4.0',
        'mouthpiece_job_duration_seconds_sum{kind="render"} 2.0',
        'mouthpiece_job_wait_seconds_sum{kind="render"} 0.5',
        'mouthpiece_render_stage_seconds_total{stage="model"} 1.5',
        "mouthpiece_avatar_cache_bytes 1000.0",
        "mouthpiece_render_process_restarts_total 0.0",
        "mouthpiece_queue_limit 5.0",
    ):
        assert f"\n{line}\n" in text


def test_it_is_ready_while_readyz_says_so(metrics: Metrics, unready: list[str]) -> None:
    assert "\nmouthpiece_ready 1.0\n" in metrics.text().decode()
    unready.append("The job database takes no writes.")
    assert "\nmouthpiece_ready 0.0\n" in metrics.text().decode()


def test_a_table_and_a_volume_that_cannot_be_read_leave_the_other_metrics(
    metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, folder: object) -> int:
        raise PermissionError("no")

    DataFolder(tmp_path).database.write_bytes(b"no database" * 1000)
    monkeypatch.setattr(AvatarStore, "cache_bytes", refuse)
    text = metrics.text().decode()
    assert "mouthpiece_ready" in text
    assert "mouthpiece_jobs_failed_total" in text
    assert "mouthpiece_queue_depth" not in text
    assert "mouthpiece_avatar_cache_bytes" not in text


def test_what_failed_counts_for_whose_fault_it_was_from_the_first_on(metrics: Metrics) -> None:
    """Prometheus sees no increase in a series that begins with 1."""

    def counted(fault: str) -> bool:
        line = f'mouthpiece_jobs_failed_total{{fault="{fault}",kind="render"}} 1.0'
        return f"\n{line}\n" in metrics.text().decode()

    before = metrics.text().decode()
    for kind in JobKind:
        for fault in ("caller", "service"):
            assert f'mouthpiece_jobs_failed_total{{fault="{fault}",kind="{kind}"}} 0.0' in before
    for kind_of_delivery in DeliveryKind:
        assert f'mouthpiece_deliveries_total{{kind="{kind_of_delivery}",state="failed"}} 0.0' in before
    job = Job("1", JobKind.RENDER, "anna", state=JobState.FAILED)
    metrics.job_ended(Ended(replace(job, error=NoSound("The audio is empty.").problem())))
    assert (counted("caller"), counted("service")) == (True, False)
    metrics.job_ended(Ended(replace(job, error=RenderProcessCrashed("It died.").problem())))
    assert (counted("caller"), counted("service")) == (True, True)


def test_what_is_watched_exists(text: str) -> None:
    dashboard = json.loads((DOCS / "grafana" / "dashboard.json").read_text())
    alerts = yaml.safe_load((DOCS / "grafana" / "alerts.yml").read_text())
    rules = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    asked = " ".join([*expressions(dashboard), *rules])
    assert len(rules) >= 2
    assert set(re.findall(r"\b(?:mouthpiece|process)_\w+", asked)) <= names(text)
    assert [expr for expr in [*expressions(dashboard), *rules] if expr.count("(") != expr.count(")")] == []


def test_every_metric_is_documented_and_every_documented_one_exists(text: str) -> None:
    described = re.findall(r"^\| (`mouthpiece_.*?) \|", (DOCS / "operations.md").read_text(), re.MULTILINE)
    documented = {name for cell in described for name in re.findall(r"`(\w+)`", cell)}
    histogram = re.compile(r"_(bucket|count|sum)$")
    ours = {histogram.sub("", name) for name in names(text) if name.startswith("mouthpiece_")}
    assert documented == ours


def test_decoded_frames_in_a_folder_of_their_own_are_counted_there(tmp_path: Path, scraped: Scraped) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / f"{'12' * 32}.i420").write_bytes(bytes(1500))
    found = {family.name: family for family in replace(scraped, frames_dir=tmp_path / "frames").collect()}
    assert found["mouthpiece_avatar_cache_bytes"].samples[0].value == 1500
