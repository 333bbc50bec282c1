"""The compose file and the page of a cluster, as far as they can be held true without a container engine."""

import re
from pathlib import Path
from typing import Any

import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = {f"MOUTHPIECE_{field.upper()}" for field in Settings.model_fields}


def services() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.cluster.yml").read_text())
    found: dict[str, Any] = parsed["services"]
    return found


def test_web_and_workers_differ_in_no_folder_and_no_address() -> None:
    web, worker = services()["web"], services()["worker"]
    assert worker["command"] == ["mouthpiece", "worker"]
    assert web["volumes"] == worker["volumes"]
    assert web["environment"].items() <= worker["environment"].items()
    assert set(worker["environment"]) <= NAMES
    assert web["build"]["args"] == {"CLUSTER": "1"}


def test_everything_is_checked_and_waited_for() -> None:
    every = services()
    assert {"web", "worker", "database", "broker"} == set(every)
    assert all("healthcheck" in every[name] for name in ("worker", "database", "broker"))
    for name in ("web", "worker"):
        conditions = {wait["condition"] for wait in every[name]["depends_on"].values()}
        assert conditions == {"service_healthy"}


def test_the_broker_waits_longer_than_any_part_takes() -> None:
    text = (ROOT / "docker-compose.cluster.yml").read_text()
    milliseconds = int(re.findall(r"^\s+consumer_timeout = (\d+)$", text, re.MULTILINE)[0])
    assert milliseconds >= 4 * 3600 * 1000


def test_every_variable_that_the_page_or_the_file_names_is_a_setting() -> None:
    for file in ("docs/cluster.md", "docker-compose.cluster.yml"):
        named = set(re.findall(r"MOUTHPIECE_[A-Z_]*[A-Z]", (ROOT / file).read_text()))
        assert named <= NAMES
