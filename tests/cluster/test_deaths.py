"""What befalls a cluster: workers, the broker and the database die in the middle of work."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.cluster.clients import Client
from tests.support.backing import HEARTBEAT_SECONDS, Backing
from tests.support.poison_worker import COMMAND
from tests.support.videos import decode

Speech = Callable[[float], Path]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(start: Callable[..., Client]) -> Client:
    """A service with two workers, one of which crashes on poison as the other does."""
    return start(2, COMMAND)


@pytest.fixture(autouse=True)
def both_work(pair: Client) -> None:
    """Each test begins with two workers."""
    for index, worker in enumerate(pair.service.workers):
        if worker.process.poll() is not None:
            pair.service.workers[index] = pair.service.hire()
    pair.service.wait(lambda: all(worker.child for worker in pair.service.workers))


def frames(client: Client, job_id: str, tmp_path: Path) -> int:
    path = tmp_path / "result.mp4"
    path.write_bytes(client.video(job_id))
    return len(decode(path).frames)


def test_a_render_goes_on_elsewhere_when_its_worker_is_killed(
    pair: Client, speech: Speech, tmp_path: Path
) -> None:
    job_id = pair.submit(speech(50))
    pair.service.wait(lambda: len(pair.fragments(job_id)) >= 3)
    busy, done = pair.worker_of(job_id), pair.fragments(job_id)
    killed = time.time()
    busy.kill()
    pair.service.wait(lambda: len(pair.starts(job_id)) == 2)
    print(f"went on after {time.time() - killed:.2f} s")
    job = pair.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    first, second = pair.starts(job_id)
    assert first["worker"] != second["worker"]
    # Nothing that was done is done again: at most the segment that was being made.
    (ended,) = pair.events(job_id, "job_ended")
    lengths = [25, 50, 100] + [250] * 5
    assert ended["frames"] <= 1250 - sum(lengths[: len(done)])
    assert frames(pair, job_id, tmp_path) == 1250
    assert pair.service.files(job_id) == ["plan.json", "result.mp4"]


@pytest.mark.acceptance
def test_a_long_render_goes_on_when_one_of_its_workers_is_killed(
    pair: Client, speech: Speech, tmp_path: Path
) -> None:
    job_id = pair.submit(speech(90))
    pair.service.wait(lambda: len(pair.fragments(job_id)) >= 5)
    pair.worker_of(job_id).kill()
    done = pair.fragments(job_id)
    later = pair.service.wait(lambda: found if len(found := pair.fragments(job_id)) > len(done) + 1 else None)
    assert {name: later[name] for name in done} == done
    job = pair.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    assert frames(pair, job_id, tmp_path) == 2250
    assert pair.service.files(job_id) == ["plan.json", "result.mp4"]


def test_a_poisonous_job_fails_alone_after_the_delivery_limit(pair: Client, speech: Speech) -> None:
    before = pair.submit(speech(2))
    poison = pair.submit(speech(1), name="poison.wav")
    after = [pair.submit(speech(2)) for _ in range(3)]
    job = pair.outcome(poison)
    assert (job["state"], job["attempts"]) == ("failed", 3)
    assert job["error"]["type"].endswith(":render-process-crashed")
    assert pair.service.files(poison) == []
    for job_id in (before, *after):
        job = pair.outcome(job_id)
        assert (job["state"], job["attempts"]) == ("succeeded", 1)


@pytest.mark.acceptance
def test_a_broker_that_restarts_loses_nothing_and_starts_nothing_twice(
    pair: Client, backing: Backing, speech: Speech
) -> None:
    job_ids = [pair.submit(speech(55)) for _ in range(2)] + [pair.submit(speech(1)) for _ in range(3)]
    pair.service.wait(lambda: all(pair.fragments(job_id) for job_id in job_ids[:2]))
    backing.broker.stop()
    while_away = pair.submit(speech(1))
    backing.broker.start()
    for job_id in (*job_ids, while_away):
        job = pair.outcome(job_id)
        assert (job["state"], job["attempts"]) == ("succeeded", 1)
        assert len(pair.starts(job_id)) == 1
    pair.service.wait(lambda: pair.service.client.get("/readyz").status_code == 200)


def test_a_database_that_restarts_costs_answers_for_a_moment_and_no_job(
    pair: Client, backing: Backing, speech: Speech
) -> None:
    job_id = pair.submit(speech(30))
    pair.service.wait(lambda: pair.fragments(job_id))
    backing.database.stop()
    answer = pair.service.client.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:mouthpiece:problem:not-ready"
    assert int(answer.headers["retry-after"]) > 0
    pair.service.wait(lambda: pair.service.client.get("/readyz").status_code == 503)
    time.sleep(2)
    backing.database.start()
    pair.service.wait(lambda: answers(pair, job_id))
    job = pair.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    assert pair.outcome(pair.submit(speech(1)))["state"] == "succeeded"


def answers(client: Client, job_id: str) -> bool:
    with suppress(httpx.HTTPStatusError):
        return bool(client.job(job_id))
    return False


@pytest.mark.acceptance
def test_a_job_longer_than_three_heartbeats_starts_once(pair: Client, speech: Speech) -> None:
    started = time.monotonic()
    job_id = pair.submit(speech(1), name="slow.wav")
    job = pair.outcome(job_id)
    assert time.monotonic() - started > 3 * HEARTBEAT_SECONDS
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    assert len(pair.starts(job_id)) == 1


@pytest.mark.acceptance
def test_a_cancel_ends_work_that_does_not_listen(pair: Client, speech: Speech) -> None:
    job_id = pair.submit(speech(1), name="endless.wav")
    pair.service.wait(lambda: pair.job(job_id)["progress"]["frames_done"] > 0)
    pair.cancel(job_id)
    pair.service.wait(lambda: pair.service.files(job_id) == [])
    assert pair.outcome(pair.submit(speech(1)))["state"] == "succeeded"
