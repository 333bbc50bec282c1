"""Kills of the render process and of the service, as the kernel would do it in want of memory."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support import clips
from tests.support.processes import is_alive, tree
from tests.support.server import Server, running
from tests.support.videos import decode

Speech = Callable[[float], Path]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of this module's own, running at the beginning and at the end of each test."""
    with running(tmp_path_factory.mktemp("mortal")) as server:
        yield server


@pytest.fixture(scope="module")
def renders(service: Server, video: Path) -> str:
    files = {"video": video.read_bytes()}
    assert service.client.post("/v1/avatars", data={"id": "anna"}, files=files).status_code == 201
    return "/v1/avatars/anna/renders"


def submit(server: Server, renders: str, audio: Path) -> str:
    response = server.client.post(
        renders,
        data={"quality": "draft"},
        files={"audio": audio.read_bytes()},
        headers={"Prefer": "respond-async"},
    )
    assert response.status_code == 202, response.text
    job_id: str = response.json()["id"]
    return job_id


def fragments(server: Server, job_id: str) -> dict[str, int]:
    """Return when each fragment of a render was written."""
    folder = server.data_dir / "jobs" / job_id / "segments"
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.m4s")}


def check_result(server: Server, job_id: str, frames: int, tmp_path: Path) -> None:
    """Check that a job has one whole result and nothing else."""
    path = tmp_path / "result.mp4"
    path.write_bytes(server.client.get(f"/v1/jobs/{job_id}/video").content)
    assert len(decode(path).frames) == frames
    server.wait(lambda: server.files(job_id) == ["plan.json", "report.json", "result.mp4", "sheet.jpg"])


def test_a_killed_render_process_is_replaced_and_its_render_goes_on_where_it_was(
    service: Server, renders: str, speech: Speech, tmp_path: Path
) -> None:
    job_id = submit(service, renders, speech(20))
    service.wait(lambda: len(fragments(service, job_id)) >= 2)
    render_pid, done = service.render_pid, fragments(service, job_id)
    assert render_pid
    os.kill(render_pid, signal.SIGKILL)
    service.wait(lambda: service.job(job_id)["attempts"] == 2)
    later = service.wait(lambda: found if len(found := fragments(service, job_id)) > len(done) else None)
    assert {name: later[name] for name in done} == done
    job = service.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    check_result(service, job_id, 500, tmp_path)


def test_an_avatar_whose_process_is_killed_is_made_anew_and_nothing_is_left_of_the_first(
    service: Server, renders: str, tmp_path: Path
) -> None:
    video = clips.talking_head(tmp_path / "long.mp4", 10.0)
    response = service.client.post(
        "/v1/avatars",
        data={"id": "ben"},
        files={"video": video.read_bytes()},
        headers={"Prefer": "respond-async"},
    )
    job_id = response.json()["id"]
    service.wait(lambda: service.job(job_id)["progress"]["frames_done"] > 0)
    assert service.render_pid
    os.kill(service.render_pid, signal.SIGKILL)
    job = service.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    assert service.client.get("/v1/avatars/ben").json()["frame_count"] == 250
    service.wait(lambda: {path.name for path in service.avatars_dir.iterdir()} == {"anna", "ben"})
    service.wait(lambda: not (service.data_dir / "jobs" / job_id).exists())
    assert service.client.delete("/v1/avatars/ben").status_code == 204


def test_a_killed_service_finishes_its_jobs_when_it_is_started_again(
    service: Server, renders: str, speech: Speech, tmp_path: Path
) -> None:
    going, queued = submit(service, renders, speech(10)), submit(service, renders, speech(1.0))
    service.wait(lambda: len(fragments(service, going)) >= 1)
    render_pid = service.render_pid
    assert render_pid
    service.kill()
    service.wait(lambda: not is_alive(render_pid))
    stray = service.data_dir / "jobs" / "stray"
    stray.mkdir()
    (stray / "upload").write_bytes(b"cut off")
    (service.avatars_dir / ".new-half-abcd").mkdir()
    service.start()
    assert service.outcome(going)["state"] == service.outcome(queued)["state"] == "succeeded"
    assert service.job(going)["attempts"] == 2
    check_result(service, going, 250, tmp_path)
    check_result(service, queued, 25, tmp_path)
    assert not stray.exists()
    assert [path.name for path in service.avatars_dir.iterdir()] == ["anna"]


def test_a_service_that_is_killed_again_and_again_is_no_fault_of_its_job(
    tmp_path: Path, video: Path, speech: Speech
) -> None:
    with running(tmp_path, MAX_ATTEMPTS="1") as server:
        files = {"video": video.read_bytes()}
        server.client.post("/v1/avatars", data={"id": "anna"}, files=files).raise_for_status()
        job_id = submit(server, "/v1/avatars/anna/renders", speech(30))
        for kill in range(1, 4):
            done = len(fragments(server, job_id))
            server.wait(lambda done=done: len(fragments(server, job_id)) > done)
            server.kill()
            server.start()
            assert server.job(job_id)["state"] in ("queued", "running"), kill
        job = server.outcome(job_id)
        assert (job["state"], job["error"]) == ("succeeded", None)
        check_result(server, job_id, 750, tmp_path)


def test_a_service_told_to_stop_stops_soon_and_goes_on_later(
    service: Server, renders: str, speech: Speech, tmp_path: Path
) -> None:
    job_id = submit(service, renders, speech(20))
    service.wait(lambda: service.job(job_id)["progress"]["frames_done"] > 0)
    render_pid = service.render_pid
    assert render_pid
    with httpx.stream("GET", f"{service.url}/v1/jobs/{job_id}/events", timeout=30) as events:
        next(events.iter_lines())
        service.stop()
    assert "Traceback" not in service.log
    assert '"exception"' not in service.log
    assert not is_alive(render_pid)
    assert "result.mp4" not in service.files(job_id)
    service.start()
    job = service.outcome(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    check_result(service, job_id, 500, tmp_path)


def test_a_service_whose_processes_are_all_told_to_stop_counts_no_death(
    tmp_path: Path, video: Path, speech: Speech
) -> None:
    with running(tmp_path, MAX_ATTEMPTS="1") as server:
        files = {"video": video.read_bytes()}
        server.client.post("/v1/avatars", data={"id": "anna"}, files=files).raise_for_status()
        job_id = submit(server, "/v1/avatars/anna/renders", speech(20))
        server.wait(lambda: server.job(job_id)["progress"]["frames_done"] > 0)
        processes = tree(server.pid)
        for pid in reversed(processes):  # as systemd does
            os.kill(pid, signal.SIGTERM)
        server.stop()
        server.wait(lambda: not any(is_alive(pid) for pid in processes))
        server.start()
        job = server.outcome(job_id)
        assert (job["state"], job["attempts"]) == ("succeeded", 1)


def test_clients_that_wait_when_the_service_stops_are_told_where_their_job_is(
    service: Server, renders: str, speech: Speech
) -> None:
    with ThreadPoolExecutor(1) as pool:
        files = {"audio": speech(20).read_bytes()}
        waiting = pool.submit(
            httpx.post, service.url + renders, data={"quality": "draft"}, files=files, timeout=60
        )
        job = service.wait(lambda: service.client.get("/v1/jobs?state=running").json()["jobs"])[0]
        service.stop()
        answer = waiting.result()
    service.start()
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:mouthpiece:problem:shutting-down"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-location"] == job["links"]["self"]
    assert service.outcome(job["id"])["state"] == "succeeded"


def test_a_short_render_that_somebody_waits_for_does_not_wait_for_a_long_one(
    service: Server, renders: str, speech: Speech
) -> None:
    long = submit(service, renders, speech(90))
    service.wait(lambda: len(fragments(service, long)) >= 2)
    answer = service.client.post(
        renders, data={"quality": "draft"}, files={"audio": speech(1.0).read_bytes()}, timeout=120
    )
    assert answer.status_code == 200
    assert service.job(long)["state"] == "running"
    assert service.client.delete(f"/v1/jobs/{long}").status_code == 204
    assert service.outcome(long)["state"] == "canceled"
    service.wait(lambda: service.files(long) == [])
