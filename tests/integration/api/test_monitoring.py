"""The dashboard, the alerts and the documentation speak of metrics that the service has."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.api.metrics import Metrics
from app.avatars.store import FRAMES, AvatarStore
from app.jobs.ended import Ended
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, JobState
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.settings import Settings
from app.workers.local import LocalPool
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.databases import put_fresh

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def text(tmp_path: Path) -> str:
    """What a scrape gives after a render, with one avatar of 1000 cached bytes on the volume."""
    metrics, store, files = Metrics(), AvatarStore(tmp_path / "avatars"), DataFolder(tmp_path)
    (put_made_up(store, made_up_manifest("anna")) / FRAMES).write_bytes(bytes(1000))
    engine = open_database(put_fresh(files.database))
    table = JobTable(engine)
    metrics.watch(table, LocalPool(Settings()), store, 5)
    created, begun = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, microsecond=500_000, tzinfo=UTC)
    ended = Job("1", JobKind.RENDER, "anna", state=JobState.SUCCEEDED, created_at=created, started_at=begun)
    metrics.delivery_ended("webhook", "delivered")
    metrics.job_ended(Ended(ended, 2.0, 100, 4.0, {"model": 1.5}))
    metrics.requests.labels("GET", "/", "200").inc()
    metrics.request_seconds.labels("GET", "/").observe(0.1)
    scraped = metrics.text().decode()
    engine.dispose()
    return scraped


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
