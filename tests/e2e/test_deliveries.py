"""Webhooks and results of a real service, over its death."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.support.neighbour import Neighbour
from tests.support.server import Server
from tests.support.videos import decode

pytestmark = pytest.mark.slow

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def neighbour() -> Neighbour:
    return Neighbour()


@pytest.fixture
def service(tmp_path: Path, neighbour: Neighbour) -> Iterator[Server]:
    settings = {
        "FETCH": f"127.0.0.1:{neighbour.port}",
        "WEBHOOK_SECRET": SECRET,
        "WEBHOOK_PAUSES": ",".join(["0.5"] * 200),
    }
    server = Server(tmp_path, settings)
    server.start()
    yield server
    server.stop()
    server.client.close()


def test_what_a_killed_service_had_to_deliver_is_delivered_once(
    service: Server, neighbour: Neighbour, video: Path, speech: object, tmp_path: Path
) -> None:
    assert callable(speech)
    neighbour.answers["/talk.mp4"] = [503] * 1000  # if it is done before its receiver has gone
    with neighbour.open():
        neighbour.files |= {"/anna.mp4": video.read_bytes(), "/words.wav": speech(0.5).read_bytes()}
        body = {"id": "anna", "video_url": f"{neighbour.url}/anna.mp4"}
        assert service.client.post("/v1/avatars", json=body).status_code == 201
        body = {
            "audio_url": f"{neighbour.url}/words.wav",
            "webhook_url": f"{neighbour.url}/hook",
            "result_url": f"{neighbour.url}/talk.mp4",
        }
        answer = service.client.post(
            "/v1/avatars/anna/renders", json=body, headers={"Prefer": "respond-async"}
        )
        job_id = answer.json()["id"]
    service.outcome(job_id)
    service.wait(lambda: service.job(job_id)["deliveries"][0]["attempts"] >= 1)
    service.kill()
    neighbour.answers.clear()
    neighbour.taken.clear()
    with neighbour.open():
        service.start()
        service.wait(lambda: all(each["state"] == "delivered" for each in service.job(job_id)["deliveries"]))
        service.kill()
        service.start()
        service.wait_until_ready()
    put, post = neighbour.taken
    assert (put.method, put.path, post.method, post.path) == ("PUT", "/talk.mp4", "POST", "/hook")
    (tmp_path / "talk.mp4").write_bytes(put.body)
    assert len(decode(tmp_path / "talk.mp4").frames) == round(0.5 * 25)
    Webhook(SECRET).verify(post.body, post.headers)
    said = json.loads(post.body)
    assert (said["type"], said["data"]["id"]) == ("job.succeeded", job_id)
