"""Replicate's own client, unmodified, against a real service."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError

from tests.e2e.compat.conftest import KEY, Place

MODEL = "bytedance/latentsync"
VERSION = "0123456789abcdef"


@contextmanager
def connected(place: Place, key: str = KEY) -> Iterator[Client]:
    """Give a client; it has no way of its own to close its connections."""
    client = Client(api_token=key, base_url=place.url)
    client.poll_interval = 0.05
    try:
        yield client
    finally:
        client._client.close()


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Client]:
    with connected(place) as client:
        yield client


def asked(place: Place, **more: Any) -> dict[str, Any]:
    return {"video": place.video, "audio": place.audio, "quality": "draft", **more}


@pytest.mark.parametrize("ref", [MODEL, f"{MODEL}:{VERSION}"])
def test_run_gives_the_address_of_the_video(client: Client, place: Place, ref: str) -> None:
    output = client.run(ref, input=asked(place))
    assert place.frames(str(output)) == 10


def test_a_prediction_is_made_followed_and_listed(client: Client, place: Place) -> None:
    prediction = client.predictions.create(version=VERSION, input=asked(place, seed=7))
    assert prediction.status in ("starting", "processing")
    prediction.wait()
    assert (prediction.status, prediction.version) == ("succeeded", VERSION)
    assert prediction.progress is not None
    assert (prediction.progress.percentage, prediction.progress.current) == (1.0, prediction.progress.total)
    assert "ignored: seed." in str(prediction.logs)
    assert prediction.input is not None
    assert prediction.input["audio"] == place.audio
    assert place.frames(str(prediction.output)) == 10
    page = client.predictions.list()
    assert prediction.id in [each.id for each in page]


def test_one_that_waits_is_answered_when_it_has_ended(client: Client, place: Place) -> None:
    done = client.predictions.create(version=VERSION, input=asked(place), wait=True)
    assert done.status == "succeeded"
    cut = client.predictions.create(
        version=VERSION, input=asked(place, audio=f"{place.neighbour.url}/much.wav"), wait=1
    )
    assert cut.status in ("starting", "processing")
    cut.cancel()
    cut.wait()
    assert (cut.status, cut.output) == ("canceled", None)


def test_files_come_as_data_uris(client: Client, place: Place, video: Path, tmp_path: Path) -> None:
    (tmp_path / "words.wav").write_bytes(place.neighbour.files["/words.wav"])
    with video.open("rb") as picture, (tmp_path / "words.wav").open("rb") as sound:
        given = {"face": picture, "audio": sound, "sync_mode": "cut_off"}
        prediction = client.predictions.create(
            version=VERSION, input=given, wait=True, file_encoding_strategy="base64"
        )
    assert prediction.status == "succeeded", prediction.error
    assert prediction.input is not None
    assert len(prediction.input["face"]) < 100
    assert place.frames(str(prediction.output)) == 10


def test_what_is_wrong_is_a_problem_or_the_predictions_error(client: Client, place: Place) -> None:
    with pytest.raises(ReplicateError) as refused:
        client.run(MODEL, input=asked(place, video="http://127.0.0.1:9/other.mp4"))
    assert (refused.value.status, "MOUTHPIECE_FETCH" in str(refused.value.detail)) == (422, True)
    with pytest.raises(ReplicateError, match="bounce, pingpong"):
        client.run(MODEL, input=asked(place, sync_mode="sideways"))
    with pytest.raises(ModelError, match="video"):
        client.run(MODEL, input=asked(place, video=place.audio))
    with pytest.raises(ReplicateError) as missing:
        client.predictions.get("nothing")
    assert missing.value.status == 404
    with connected(place, "wrong") as stranger, pytest.raises(ReplicateError) as locked:
        stranger.predictions.list()
    assert locked.value.status == 401


def test_cog_waits_unless_it_is_told_not_to_and_knows_an_id_again(place: Place) -> None:
    web, body = place.server.client, {"input": asked(place)}
    done = web.post("/predictions", json=body)
    assert (done.status_code, done.json()["status"]) == (200, "succeeded")
    headers = {"Prefer": "respond-async"}
    begun = web.put("/predictions/my-own_id", json=body, headers=headers)
    assert (begun.status_code, begun.json()["id"]) == (202, "my-own_id")
    assert begun.json()["status"] in ("starting", "processing")
    again = web.put("/predictions/my-own_id", json=body)
    assert again.json()["created_at"] == begun.json()["created_at"]
    place.server.wait(lambda: web.get("/predictions/my-own_id").json()["status"] == "succeeded")
    ended = web.put("/predictions/my-own_id", json=body)
    assert (ended.status_code, ended.json()["status"]) == (200, "succeeded")
    assert web.get(ended.json()["urls"]["get"]).json() == ended.json()
    stopped = web.post("/predictions/my-own_id/cancel").json()
    assert stopped["status"] == "succeeded"


def test_its_end_is_told_as_a_prediction(client: Client, place: Place) -> None:
    hook = f"{place.neighbour.url}/replicate"
    prediction = client.predictions.create(
        version=VERSION, input=asked(place), webhook=hook, webhook_events_filter=["start", "completed"]
    )
    told = place.told("/replicate")
    assert (told["id"], told["status"]) == (prediction.id, "succeeded")
    assert place.frames(told["output"]) == 10
    quiet = client.predictions.create(
        version=VERSION, input=asked(place), webhook=hook, webhook_events_filter=["start"]
    )
    quiet.wait()
    assert place.server.job(quiet.id)["deliveries"] == []


def test_a_video_that_was_made_in_our_own_words_is_not_open_to_all(place: Place) -> None:
    files = {"audio": place.neighbour.files["/words.wav"], "video": place.neighbour.files["/head.mp4"]}
    made = place.server.client.post("/v1/renders", data={"quality": "draft"}, files=files)
    job_id = made.headers["content-location"].rsplit("/", 1)[1]
    assert httpx.get(f"{place.url}/outputs/{job_id}.mp4", timeout=60).status_code == 404
