"""A check says how well the person in a video will speak, and stores no avatar."""

from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from tests.support.server import Server


def check(server: Server, content: bytes, **headers: str) -> httpx.Response:
    files = {"video": ("head.mp4", content)}
    return server.client.post("/v1/avatars?check=true", files=files, headers=headers)


def test_the_answer_is_a_verdict_with_reasons_and_a_sheet(server: Server, video: Path) -> None:
    before = server.client.get("/v1/avatars?implicit=true").json()

    answer = check(server, video.read_bytes())

    assert answer.status_code == 200, answer.text
    report: Any = answer.json()
    assert report["verdict"] == "fair"
    assert {"small-face", "few-open-mouths"} <= {reason["code"] for reason in report["reasons"]}
    assert (report["width"], report["height"], report["frame_count"]) == (320, 240, 25)
    job = server.outcome(answer.headers["content-location"].rsplit("/", 1)[1])
    assert (job["kind"], job["avatar_id"], job["links"]["video"]) == ("check", None, None)
    again = server.client.get(job["links"]["report"])
    assert again.headers["content-type"] == "application/json"
    assert again.json() == {key: value for key, value in report.items() if key != "links"}
    sheet = server.client.get(job["links"]["sheet"])
    assert sheet.headers["content-type"] == "image/jpeg"
    picture = cv2.imdecode(np.frombuffer(sheet.content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[1] > 1000
    assert server.client.get(f"{job['links']['self']}/video").status_code == 404

    assert server.client.get("/v1/avatars?implicit=true").json() == before
    server.wait(lambda: server.files(job["id"]) == ["report.json", "sheet.jpg"])
    assert not list(server.avatars_dir.glob(".*"))


def test_it_can_be_waited_for_and_forgotten(server: Server, video: Path) -> None:
    accepted = check(server, video.read_bytes(), Prefer="respond-async")
    assert accepted.status_code == 202
    job = server.outcome(accepted.json()["id"])
    assert server.client.get(job["links"]["report"]).json()["verdict"] == "fair"
    assert server.client.delete(job["links"]["self"]).status_code == 204
    assert server.client.get(job["links"]["report"]).status_code == 404
    server.wait(lambda: not (server.data_dir / "jobs" / job["id"]).exists())


def test_what_no_avatar_can_be_made_of_is_refused_alike(server: Server) -> None:
    answer = check(server, b"Dear Sir or Madam, " * 100)
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:mouthpiece:problem:not-a-video")
    job = answer.headers["content-location"]
    assert server.client.get(f"{job}/report").json()["type"] == "urn:mouthpiece:problem:job-failed"


def test_the_job_of_an_avatar_has_no_report(server: Server, anna: str) -> None:
    jobs = server.client.get("/v1/jobs?avatar=anna&limit=200").json()["jobs"]
    making = next(job for job in jobs if job["kind"] == "avatar")
    assert making["links"]["report"] is None
    answer = server.client.get(f"{making['links']['self']}/report")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:mouthpiece:problem:not-found")
