"""How work is shared: long renders over workers, turns among keys, short beside long ones, cancels."""

import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster.clients import Client
from tests.support.videos import decode

Speech = Callable[[float], Path]

pytestmark = pytest.mark.slow

KEYS = ("key-a", "key-b", "key-c", "key-d")
MOST_RUNNING = 3
JOBS = int(os.environ.get("CLUSTER_JOBS", "40"))
"""How many jobs the four keys submit; the acceptance run takes 200."""


@pytest.fixture(scope="module")
def pair(start: Callable[..., Client]) -> Client:
    """A service with two workers and four keys."""
    return start(2, API_KEYS=",".join(KEYS), MAX_RUNNING_PER_KEY=str(MOST_RUNNING), MAX_QUEUED="400")


@pytest.mark.acceptance
def test_a_long_render_is_spread_and_streams_as_on_one_machine(
    pair: Client, speech: Speech, tmp_path: Path
) -> None:
    job_id = pair.submit(speech(100), stream="true")
    url = f"/v1/jobs/{job_id}/video?stream=true"
    pair.service.wait(lambda: pair.fragments(job_id))
    with pair.service.client.stream("GET", url, headers=pair.headers) as answer:
        streamed = b"".join(answer.iter_bytes())
    assert pair.outcome(job_id)["progress"]["frames_done"] == 2500
    (tmp_path / "streamed.mp4").write_bytes(streamed)
    (tmp_path / "result.mp4").write_bytes(pair.video(job_id))
    result, stream = decode(tmp_path / "result.mp4"), decode(tmp_path / "streamed.mp4")
    assert len(result.frames) == len(stream.frames) == 2500
    assert all(
        (one == other).all() for one, other in zip(result.frames[::97], stream.frames[::97], strict=True)
    )
    parts = pair.events(job_id, "part_started")
    assert len(parts) == 4
    assert len({part["worker"] for part in parts}) == 2
    assert len(pair.starts(job_id)) == 5


@pytest.mark.acceptance
def test_the_progress_of_a_spread_render_only_grows(pair: Client, speech: Speech) -> None:
    job_id = pair.submit(speech(70))
    seen: list[int] = []
    url = f"/v1/jobs/{job_id}/events"
    with pair.service.client.stream("GET", url, headers=pair.headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(httpx.Response(200, text=line[6:]).json()["progress"]["frames_done"])
    assert seen == sorted(seen)
    assert seen[-1] == 1750
    assert len(set(seen)) > 5


@pytest.mark.acceptance
def test_a_short_render_is_not_stuck_behind_a_long_one(pair: Client, speech: Speech) -> None:
    long = pair.submit(speech(240))
    pair.service.wait(lambda: len(pair.events(long, "part_started")) >= 2)
    short = pair.submit(speech(1))
    assert pair.outcome(short)["state"] == "succeeded"
    assert pair.job(long)["state"] == "running"
    pair.cancel(long)


@pytest.mark.parametrize("seconds", [50, 120])
def test_a_cancel_reaches_all_workers_and_leaves_no_files(
    pair: Client, speech: Speech, seconds: float
) -> None:
    job_id = pair.submit(speech(seconds))
    pair.service.wait(lambda: len(pair.fragments(job_id)) >= 2)
    taken = pair.cancel(job_id)
    print(f"canceled after {taken:.2f} s")
    assert not (pair.service.data_dir / "jobs" / job_id).exists()
    time.sleep(1)
    assert not (pair.service.data_dir / "jobs" / job_id).exists()
    assert len(pair.events(job_id, "job_ended")) == 1


def test_keys_take_turns_and_none_has_more_than_its_share(pair: Client, speech: Speech) -> None:
    service, audio = pair.service, speech(0.5)
    clients = {key: Client(service, key) for key in KEYS}
    owners: dict[str, str] = {}
    for key in KEYS:  # the first key's jobs have all come before the last key's first
        for _ in range(JOBS // len(KEYS)):
            owners[clients[key].submit(audio)] = key
    most = _most_under_way(pair, owners)
    ends = [pair.outcome(job_id, 600) for job_id in owners]
    assert {job["state"] for job in ends} == {"succeeded"}
    assert {job["attempts"] for job in ends} == {1}
    assert max(most.values()) <= MOST_RUNNING
    finished = sorted(ends, key=lambda job: job["finished_at"])
    print(_table(finished, owners))
    first_half = Counter(owners[job["id"]] for job in finished[: len(finished) // 2])
    assert all(first_half[key] >= JOBS // len(KEYS) // 4 for key in KEYS)


def _most_under_way(client: Client, owners: dict[str, str]) -> Counter[str]:
    """Watch until all have ended; return how many jobs of each key were running at once, at most."""
    most: Counter[str] = Counter()
    over = threading.Event()
    while not over.is_set():
        running = _jobs(client, "running")
        now = Counter(owners[job["id"]] for job in running)
        most |= now
        if not running and not _jobs(client, "queued"):
            over.set()
        time.sleep(0.05)
    return most


def _jobs(client: Client, state: str) -> list[Any]:
    answer = client.service.client.get(
        "/v1/jobs", params={"state": state, "limit": 200}, headers=client.headers
    )
    found: list[Any] = answer.raise_for_status().json()["jobs"]
    return found


def _table(finished: list[Any], owners: dict[str, str]) -> str:
    """Return, for each key, how many of its jobs were done by each quarter of all, and when its last was."""
    quarters: dict[str, list[int]] = defaultdict(lambda: [0] * 4)
    for place, job in enumerate(finished):
        quarters[owners[job["id"]]][4 * place // len(finished)] += 1
    return "\n".join(f"{key}: {quarters[key]}" for key in KEYS)
