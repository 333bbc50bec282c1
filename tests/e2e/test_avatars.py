import http.client
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import cv2
import httpx
import numpy as np

from tests.support.server import Server

Speech = Callable[[float], Path]


def post(server: Server, video: Path, avatar_id: str, **headers: str) -> httpx.Response:
    files = {"video": ("me.mp4", video.read_bytes())}
    return server.client.post("/v1/avatars", data={"id": avatar_id}, files=files, headers=headers)


def test_a_video_becomes_an_avatar(server: Server, video: Path) -> None:
    response = post(server, video, "first")
    assert response.status_code == 201
    assert response.headers["location"] == "/v1/avatars/first"
    assert server.job(response.headers["content-location"].rsplit("/", 1)[1])["state"] == "succeeded"
    avatar = response.json()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(avatar.pop("created_at"))).total_seconds() < 60
    assert avatar == {
        "id": "first",
        "width": 320,
        "height": 240,
        "fps": 25.0,
        "frame_count": 25,
        "duration": 1.0,
        "face_frames": 25,
        "implicit": False,
        "source": {"sha256": sha256(video.read_bytes()).hexdigest(), "filename": "me.mp4"},
        "warnings": [],
        "links": {
            "self": "/v1/avatars/first",
            "preview": "/v1/avatars/first/preview.jpg",
            "renders": "/v1/avatars/first/renders",
        },
    }
    assert server.client.get("/v1/avatars/first").json() == response.json()
    assert response.json() in server.client.get("/v1/avatars").json()["avatars"]


def test_the_preview_is_a_picture_of_the_avatar(server: Server, anna: str) -> None:
    response = server.client.get("/v1/avatars/anna/preview.jpg")
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["cache-control"] == "private, no-cache"  # there may be another anna tomorrow
    picture = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (240, 320, 3)
    known = {"If-None-Match": response.headers["etag"]}
    assert server.client.get("/v1/avatars/anna/preview.jpg", headers=known).status_code == 304


def test_an_avatar_without_an_id_gets_one(server: Server, video: Path) -> None:
    response = server.client.post("/v1/avatars", files={"video": video.read_bytes()})
    assert response.status_code == 201
    assert re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", response.json()["id"])


def test_an_avatar_is_made_in_the_background_on_request(server: Server, video: Path) -> None:
    response = post(server, video, "later", Prefer="respond-async")
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "respond-async"
    job = response.json()
    assert response.headers["location"] == response.headers["content-location"] == job["links"]["self"]
    assert (job["kind"], job["avatar_id"], job["links"]["video"]) == ("avatar", "later", None)
    job = server.outcome(job["id"])
    assert job["state"] == "succeeded"
    assert job["progress"] | {"fps": 0} == {
        "fraction": 1.0,
        "frames_done": 25,
        "frames_total": 25,
        "fps": 0,
        "eta_seconds": None,
    }
    assert server.client.get("/v1/avatars/later").status_code == 200
    server.wait(lambda: not server.files(job["id"]))


def test_a_deleted_avatar_leaves_nothing_on_the_volume(server: Server, video: Path) -> None:
    assert post(server, video, "gone").status_code == 201
    assert server.client.delete("/v1/avatars/gone").status_code == 204
    assert server.client.get("/v1/avatars/gone").status_code == 404
    assert server.client.delete("/v1/avatars/gone").status_code == 404
    assert not [path for path in server.avatars_dir.iterdir() if "gone" in path.name]


def test_a_taken_id_is_refused_before_the_video_is_sent(server: Server, anna: str) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="id"\r\n\r\nanna\r\n--x\r\n'
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", "/v1/avatars")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", "2000000")
    connection.endheaders(part)
    response = connection.getresponse()
    assert response.status == 409
    assert b"urn:mouthpiece:problem:avatar-exists" in response.read()
    connection.close()


def test_a_taken_id_that_comes_after_the_video_is_refused_as_well(
    server: Server, anna: str, video: Path
) -> None:
    files = [("video", ("a.mp4", video.read_bytes())), ("id", (None, b"anna"))]
    response = server.client.post("/v1/avatars", files=files)
    assert response.status_code == 409


def test_of_two_posts_of_one_id_exactly_one_wins(server: Server, video: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: post(server, video, "twin"), range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    queued = [post(server, video, "twins", Prefer="respond-async") for _ in range(2)]
    assert [answer.status_code for answer in queued] == [202, 409]
    server.outcome(queued[0].json()["id"])


def test_renders_of_a_deleted_avatar_finish_or_say_that_it_was_deleted(
    server: Server, video: Path, speech: Speech
) -> None:
    post(server, video, "doomed")
    jobs = []
    for _ in range(2):
        with speech(10).open("rb") as audio:
            response = server.client.post(
                "/v1/avatars/doomed/renders", files={"audio": audio}, headers={"Prefer": "respond-async"}
            )
        jobs.append(response.json()["id"])
    server.wait(lambda: server.job(jobs[0])["progress"]["frames_done"] > 0)
    assert server.client.delete("/v1/avatars/doomed").status_code == 204
    running, waiting = (server.outcome(job_id) for job_id in jobs)
    assert running["state"] == "succeeded" or running["error"]["type"].endswith(":avatar-deleted")
    assert waiting["error"]["type"] == "urn:mouthpiece:problem:avatar-deleted"
    assert waiting["error"]["status"] == 410
    assert not [path for path in server.avatars_dir.iterdir() if "doomed" in path.name]


def test_parameters_reach_the_avatar(server: Server, video: Path) -> None:
    data = {"id": "tuned", "face": "0", "pads": "0, 0.1, -0.05, 0.02", "smoothing": "0"}
    response = server.client.post("/v1/avatars", data=data, files={"video": video.read_bytes()})
    assert response.status_code == 201
    manifest = (server.avatars_dir / "tuned" / "avatar.json").read_text()
    assert '"choice": "0"' in manifest
    assert '"smoothing": 0.0' in manifest
    assert re.search(r'"pads": \[\s*0.0,\s*0.1,\s*-0.05,\s*0.02\s*\]', manifest)


def test_the_service_answers_while_an_upload_trickles_in(server: Server) -> None:
    started, go = threading.Event(), threading.Event()

    def body() -> object:
        yield b'--x\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\nslow'
        started.set()
        go.wait(10)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(
            lambda: httpx.post(f"{server.url}/v1/avatars", content=body(), headers=headers, timeout=30)  # type: ignore[arg-type]
        )
        assert started.wait(10)
        assert server.client.get("/livez").status_code == 200
        go.set()
        assert upload.result().status_code == 415
