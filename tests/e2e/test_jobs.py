"""Jobs and their results: followed, fetched, canceled, deleted and listed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.asking import begin
from tests.support.server import Server

Speech = Callable[[float], Path]


@pytest.fixture(scope="module")
def finished(server: Server, anna: str, speech: Speech) -> str:
    """The id of a render that has succeeded."""
    job_id = begin(server, anna, speech(1.0))
    assert server.outcome(job_id)["state"] == "succeeded"
    return job_id


def events(server: Server, job_id: str) -> list[tuple[str, Any]]:
    """Return the (name, data) of all events of a job, to the end of the stream."""
    found, name = [], ""
    with server.client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found


def test_a_job_is_followed_by_events_to_its_end(server: Server, anna: str, speech: Speech) -> None:
    job_id = begin(server, anna, speech(10))
    seen = events(server, job_id)
    names = [name for name, _ in seen]
    assert names == ["progress"] * (len(seen) - 1) + ["end"]
    assert seen[-1][1] == server.job(job_id)
    assert seen[-1][1]["state"] == "succeeded"
    moving = [job["progress"] for _, job in seen if job["state"] == "running" and job["progress"]["fps"] > 0]
    assert moving
    assert all(progress["eta_seconds"] >= 0 and progress["frames_total"] == 250 for progress in moving)
    done = [progress["frames_done"] for progress in moving]
    assert done == sorted(done)


def test_the_events_of_a_finished_job_are_its_end(server: Server, finished: str) -> None:
    assert events(server, finished) == [("end", server.job(finished))]


def test_a_video_is_fetched_in_ranges(server: Server, finished: str) -> None:
    url = f"/v1/jobs/{finished}/video"
    whole = server.client.get(url)
    assert whole.headers["accept-ranges"] == "bytes"
    size = len(whole.content)
    for given, start, end in (("0-99", 0, 100), ("100-", 100, size), ("-50", size - 50, size)):
        part = server.client.get(url, headers={"Range": f"bytes={given}"})
        assert part.status_code == 206
        assert part.content == whole.content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"


@pytest.mark.parametrize("given", ["bytes=", "lines=1-2", "bytes=9-2", "bytes=0-1,4-5", "bytes=a-b"])
def test_a_range_that_means_nothing_gets_the_whole(server: Server, finished: str, given: str) -> None:
    response = server.client.get(f"/v1/jobs/{finished}/video", headers={"Range": given})
    assert response.status_code == 200


def test_a_range_beyond_the_end_is_refused(server: Server, finished: str) -> None:
    response = server.client.get(f"/v1/jobs/{finished}/video", headers={"Range": "bytes=99999999-"})
    assert response.status_code == 416
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["content-range"].startswith("bytes */")


def test_a_tag_tells_whether_the_client_has_the_video(server: Server, finished: str) -> None:
    url = f"/v1/jobs/{finished}/video"
    tag = server.client.get(url).headers["etag"]
    assert not tag.startswith("W/")
    assert server.client.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert server.client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    ranged = {"Range": "bytes=0-9", "If-Range": tag}
    assert server.client.get(url, headers=ranged).status_code == 206
    assert server.client.get(url, headers=ranged | {"If-Range": '"other"'}).status_code == 200


def test_a_head_says_what_a_get_would(server: Server, finished: str) -> None:
    url = f"/v1/jobs/{finished}/video"
    head, get = server.client.head(url), server.client.get(url)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["etag"] == get.headers["etag"]


def test_an_unfinished_video_is_a_conflict_and_a_canceled_one_gone(
    server: Server, anna: str, speech: Speech
) -> None:
    job_id = begin(server, anna, speech(60))
    server.wait(lambda: server.job(job_id)["progress"]["frames_done"] > 0)
    response = server.client.get(f"/v1/jobs/{job_id}/video")
    assert response.status_code == 409
    assert response.json()["type"] == "urn:mouthpiece:problem:job-not-finished"
    assert server.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    job = server.outcome(job_id)
    assert (job["state"], job["error"]) == ("canceled", None)
    server.wait(lambda: server.files(job_id) == [])
    assert server.client.get(f"/v1/jobs/{job_id}/video").status_code == 410


def test_a_waiting_job_is_canceled_at_once(server: Server, anna: str, speech: Speech) -> None:
    busy = begin(server, anna, speech(60))
    server.wait(lambda: server.job(busy)["state"] == "running")
    with server.worker_stopped():
        waiting = begin(server, anna, speech(1.0))
        assert server.client.delete(f"/v1/jobs/{waiting}").status_code == 204
        job = server.outcome(waiting)
    assert (job["state"], job["attempts"]) == ("canceled", 0)
    server.wait(lambda: server.files(waiting) == [])
    server.client.delete(f"/v1/jobs/{busy}")


def test_deleting_a_finished_job_forgets_it_and_its_files(server: Server, anna: str, speech: Speech) -> None:
    job_id = begin(server, anna, speech(0.2))
    assert server.outcome(job_id)["state"] == "succeeded"
    assert server.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert server.client.get(f"/v1/jobs/{job_id}").status_code == 404
    server.wait(lambda: not (server.data_dir / "jobs" / job_id).exists())


def test_a_failed_job_keeps_its_problem_and_no_files(server: Server, anna: str) -> None:
    response = server.client.post(anna, files={"audio": b"text"}, headers={"Prefer": "respond-async"})
    job = server.outcome(response.json()["id"])
    assert (job["state"], job["error"]["status"]) == ("failed", 415)
    video = server.client.get(f"/v1/jobs/{job['id']}/video")
    assert video.status_code == 409
    assert video.json()["type"] == "urn:mouthpiece:problem:job-failed"
    assert job["error"]["detail"] in video.json()["detail"]
    server.wait(lambda: not server.files(job["id"]))


def test_jobs_are_listed_newest_first_page_by_page(server: Server, finished: str) -> None:
    every, cursor = [], None
    for _ in range(100):
        query = "limit=3&avatar=anna" + (f"&cursor={cursor}" if cursor is not None else "")
        page = server.client.get(f"/v1/jobs?{query}").json()
        every += page["jobs"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    newest = server.client.get("/v1/jobs?limit=200&avatar=anna").json()
    assert every == newest["jobs"]
    assert newest["next_cursor"] is None
    assert every[0]["created_at"] > every[-1]["created_at"]
    assert finished in [job["id"] for job in every]
    assert {job["avatar_id"] for job in every} == {"anna"}
    canceled = server.client.get("/v1/jobs", params={"state": "canceled"}).json()["jobs"]
    assert {job["state"] for job in canceled} <= {"canceled"}
