"""What befalls a cluster: workers, machines and the head go in the middle of work."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.jobs.job import JobState
from tests.integration.jobs.conftest import scripted_settings, served
from tests.support.ports import free_port
from tests.support.ray_cluster import RayCluster, ray_cluster
from tests.support.server import Server
from tests.support.waiting import DEADLINE, until

pytest.importorskip("ray")
from app.workers.ray_pool import RayPool

pytestmark = pytest.mark.slow

SCRIPTED = (sys.executable, "-m", "tests.support.scripted_ray_driver")
SECONDS = 62.0
"""A render of more than a minute is spread over all workers: a kill finds each of them at work."""
FPS = "8"
"""Enough for a fault to meet the work in its middle; the frames are most of what these tests cost."""


@dataclass
class Pair:
    """A service on a cluster of two machines that has an avatar."""

    server: Server
    cluster: RayCluster
    audio: Path
    quiet: bytes = b""
    """The render of ``audio`` that nothing befell."""

    def submit(self) -> str:
        """Begin the render."""
        response = self.server.client.post(
            "/v1/avatars/anna/renders",
            data={"quality": "draft", "fps": FPS},
            files={"audio": self.audio.read_bytes()},
            headers={"Prefer": "respond-async"},
        )
        assert response.status_code == 202, response.text
        job_id: str = response.json()["id"]
        return job_id

    def outcome(self, job_id: str) -> Any:
        """Return a job once it has ended: two workers share this machine with the rest of the tests."""
        return self.server.outcome(job_id, 300)

    def fragments(self, job_id: str) -> int:
        """Return how many segments are on the volume."""
        return len(list((self.server.data_dir / "jobs" / job_id / "segments").glob("[!.]*.m4s")))

    def video(self, job_id: str) -> bytes:
        """Return what a job has made."""
        return self.server.client.get(f"/v1/jobs/{job_id}/video").content

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many workers are there."""
        line = f"\nmouthpiece_workers {count}.0\n"
        self.server.wait(lambda: line in self.server.client.get("/metrics").text, 300)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A cluster of two machines."""
    with ray_cluster(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def pair(
    cluster: RayCluster,
    tmp_path_factory: pytest.TempPathFactory,
    video: Path,
    speech: Callable[[float], Path],
) -> Iterator[Pair]:
    """A service whose two workers are on two machines, and a render of both that nothing befell."""
    server = Server(tmp_path_factory.mktemp("cluster"), {"RAY_ADDRESS": cluster.address, "DEVICE": "cpu"})
    try:
        server.start()
        pair = Pair(server, cluster, speech(SECONDS))
        pair.wait_for_workers(2)
        files = {"video": video.read_bytes()}
        made = server.client.post("/v1/avatars", data={"id": "anna"}, files=files)
        assert made.status_code == 201, made.text
        job_id = pair.submit()
        assert pair.outcome(job_id)["state"] == "succeeded"
        pair.quiet = pair.video(job_id)
        yield pair
    finally:
        server.stop()
        server.client.close()


TELLING = """
import io, json, sys, time
from types import SimpleNamespace
import ray
from app.settings import Settings
from app.workers.ray_driver import Driver, Place
from app.workers.ray_worker import RayWorker

class Noting(RayWorker):
    def __init__(self):
        self._process = SimpleNamespace(stdin=io.BytesIO())

    def told(self):
        return [json.loads(line) for line in self._process.stdin.getvalue().splitlines()]

ray.init(sys.argv[1], namespace="telling", log_to_driver=False)
place = Place(Driver(Settings(), {}, print, Noting)._actor.options(num_cpus=0).remote())
for number in range(1000):
    place.tell({"number": number})
while len(told := ray.get(place.actor.told.remote())) < 1000:
    time.sleep(0.1)
print([message["number"] for message in told] == list(range(1000)))
"""


def test_a_worker_is_told_everything_in_its_order(cluster: RayCluster) -> None:
    command = [sys.executable, "-c", TELLING, cluster.address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_file_that_crashes_every_worker_is_tried_three_times_and_others_go_on(
    cluster: RayCluster, tmp_path: Path
) -> None:
    settings = scripted_settings(
        tmp_path / "data", avatars_dir=tmp_path / "avatars", ray_address=cluster.address
    )
    pool = RayPool(settings, command=SCRIPTED)
    async with served(settings, pool, attempts=3) as service:
        await until(lambda: pool.size == 2, 60)
        bad = await service.submit(misbehave="crash")
        others = [await service.submit(frames=20, pause=0.2) for _ in range(4)]
        bad = await service.outcome(bad)
        assert (bad.state, bad.attempts, bad.deaths) == (JobState.FAILED, 3, 3)
        assert bad.error is not None
        assert bad.error["type"].endswith(":render-process-crashed")
        assert "SIGSEGV" in bad.error["detail"]
        ends = [await service.outcome(job) for job in others]
        assert [(job.state, job.attempts) for job in ends] == [(JobState.SUCCEEDED, 1)] * 4
        assert pool.restarts == 3


def test_a_worker_of_a_cluster_is_locked_and_has_no_token(pair: Pair) -> None:
    process = Path(f"/proc/{pair.cluster.worker_pid(pair.cluster.machines[0])}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
    assert b"RAY_AUTH_TOKEN" not in (process / "environ").read_bytes()


def kill_worker(pair: Pair) -> None:
    os.kill(pair.cluster.worker_pid(pair.cluster.machines[0]), signal.SIGKILL)


def kill_machine(pair: Pair) -> None:
    pair.cluster.signal(pair.cluster.machines.pop(0), signal.SIGKILL)


def silence_machine(pair: Pair) -> None:
    pair.cluster.signal(pair.cluster.machines.pop(0), signal.SIGSTOP)


def drain_machine(pair: Pair) -> None:
    pair.cluster.drain(pair.cluster.machines.pop(0))


@pytest.mark.parametrize(
    ("befall", "attempts"), [(kill_worker, 2), (kill_machine, 2), (silence_machine, 2), (drain_machine, 1)]
)
def test_a_render_goes_on_elsewhere_and_is_equal_to_the_bit(
    pair: Pair, befall: Callable[[Pair], None], attempts: int
) -> None:
    job_id = pair.submit()
    pair.server.wait(lambda: pair.fragments(job_id) >= 3)
    befall(pair)
    job = pair.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", attempts)
    assert pair.video(job_id) == pair.quiet
    pair.server.wait(
        lambda: pair.server.files(job_id) == ["plan.json", "report.json", "result.mp4", "sheet.jpg"]
    )
    if len(pair.cluster.machines) < 2:
        pair.cluster.machines.append(pair.cluster.add())
    pair.wait_for_workers(2)


def test_a_killed_service_goes_on_where_it_was(pair: Pair) -> None:
    job_id = pair.submit()
    pair.server.wait(lambda: pair.fragments(job_id) >= 3)
    folder = pair.server.data_dir / "jobs" / job_id / "segments"
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("[!.]*.m4s")}
    pair.server.kill()
    pair.server.start(wait=False)
    pair.server.wait(lambda: pair.server.get("/livez") == 200)
    later = {path.name: path.stat().st_mtime_ns for path in folder.glob("[!.]*.m4s")}
    assert before.items() <= later.items() or not later
    job = pair.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    assert pair.video(job_id) == pair.quiet
    pair.wait_for_workers(2)


def test_a_canceled_render_is_gone_from_all_workers(pair: Pair) -> None:
    job_id = pair.submit()
    pair.server.wait(lambda: pair.fragments(job_id) >= 3)
    assert pair.server.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert pair.outcome(job_id)["state"] == "canceled"
    pair.server.wait(lambda: pair.server.files(job_id) == [])
    pair.server.wait(lambda: "\nmouthpiece_workers_idle 2.0\n" in pair.server.client.get("/metrics").text)


def test_a_head_that_is_not_there_is_said_and_jobs_are_taken(tmp_path: Path, video: Path) -> None:
    server = Server(tmp_path, {"RAY_ADDRESS": f"127.0.0.1:{free_port()}", "DEVICE": "cpu"})
    server.start(wait=False)
    try:
        server.wait(lambda: "No head of a Ray cluster" in server.log and "Uvicorn running" in server.log)
        answer = server.client.get("/readyz")
        assert answer.status_code == 503
        assert "No head of a Ray cluster answers" in answer.json()["detail"]
        response = server.client.post(
            "/v1/avatars", files={"video": video.read_bytes()}, headers={"Prefer": "respond-async"}
        )
        assert response.status_code == 202
    finally:
        server.stop()
        server.client.close()


def test_a_wrong_token_is_said_in_a_sentence(pair: Pair, tmp_path: Path) -> None:
    settings = {"RAY_ADDRESS": pair.cluster.address, "DEVICE": "cpu"}
    server = Server(tmp_path, settings, environment={"RAY_AUTH_TOKEN": "f" * 64})
    server.start(wait=False)
    try:
        said = "does not let this service in"
        server.wait(lambda: said in server.log, 120)
        answer = server.client.get("/readyz")
        assert answer.status_code == 503
        assert "RAY_AUTH_TOKEN" in answer.json()["detail"]
        assert len(server.log.splitlines()) < 60
    finally:
        server.stop()
        server.client.close()


def test_a_head_that_goes_takes_the_workers_and_no_job(pair: Pair) -> None:
    job_id = pair.submit()
    pair.server.wait(lambda: pair.fragments(job_id) >= 3)
    pair.cluster.kill_head()
    pair.server.wait(lambda: pair.server.client.get("/readyz").status_code == 503, 120)
    assert pair.server.job(job_id)["state"] == "running"
    pair.cluster.start_again(3)
    job = pair.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    assert pair.video(job_id) == pair.quiet
    pair.wait_for_workers(3)
