"""Webhooks and results of jobs that a scripted worker does, to a real server."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook

from app.avatars.store import AvatarStore
from app.outside.allowance import Allowance
from app.settings import Settings
from tests.integration.api.conftest import Start
from tests.integration.api.test_service import code
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.neighbour import Neighbour
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    with Neighbour().open() as there:
        yield there


async def make(start: Start, neighbour: Neighbour, tmp_path: Path, **settings: Any) -> httpx.AsyncClient:
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest("anna"))
    given = {"fetch": {f"127.0.0.1:{neighbour.port}"}, "webhook_secret": SECRET} | settings
    return await start(**given)


async def delivered(client: httpx.AsyncClient, path: str) -> Any:
    """Return a job once nothing of it is to be delivered any more."""

    async def ask() -> Any:
        job = (await client.get(path)).json()
        return None if any(each["state"] == "waiting" for each in job["deliveries"]) else job

    return await eventually(ask)


async def test_a_render_is_put_and_told_to_the_addresses_of_its_request(
    start: Start, neighbour: Neighbour, tmp_path: Path
) -> None:
    client = await make(start, neighbour, tmp_path)
    addresses = {
        "webhook_url": f"{neighbour.url}/hook?token=s3cret",
        "result_url": f"{neighbour.url}/b?sig=x",
    }
    answer = await client.post(
        "/v1/avatars/anna/renders",
        files={"audio": ("words.wav", b"sound")},
        data=addresses,
        headers={"Prefer": "respond-async"},
    )
    assert [each["kind"] for each in answer.json()["deliveries"]] == ["result", "webhook"]
    job = await delivered(client, answer.headers["location"])
    result, webhook = job["deliveries"]
    assert (result["state"], result["url"]) == ("delivered", f"{neighbour.url}/b")
    assert (webhook["state"], webhook["attempts"], webhook["status"]) == ("delivered", 1, 200)
    put, post = neighbour.taken
    assert (put.method, put.path, put.body) == ("PUT", "/b?sig=x", b"frames 3")
    assert (post.method, post.path) == ("POST", "/hook?token=s3cret")
    said = Webhook(SECRET).verify(post.body, post.headers)
    assert said["type"] == "job.succeeded"
    assert [each["kind"] for each in said["data"]["deliveries"]] == ["result"]
    same = {name: value for name, value in job.items() if name != "deliveries"}
    assert {name: value for name, value in said["data"].items() if name != "deliveries"} == same
    assert b"s3cret" not in post.body


async def test_an_avatar_that_fails_is_told_to_the_services_own_address(
    start: Start, neighbour: Neighbour, tmp_path: Path
) -> None:
    client = await make(start, neighbour, tmp_path, webhook_url=f"{neighbour.url}/own")
    later = {"Prefer": "respond-async"}
    failed = await client.post("/v1/avatars", files={"video": ("refuse.mp4", b"x")}, headers=later)
    job = await delivered(client, failed.headers["location"])
    assert (job["state"], job["deliveries"][0]["url"]) == ("failed", f"{neighbour.url}/own")
    assert [json.loads(taken.body)["type"] for taken in neighbour.taken] == ["job.failed"]
    assert json.loads(neighbour.taken[0].body)["data"]["error"]["type"].endswith("no-face")


async def test_a_job_that_is_canceled_is_told(start: Start, neighbour: Neighbour, tmp_path: Path) -> None:
    client = await make(start, neighbour, tmp_path, model=tmp_path / "slow.onnx")
    body = {"webhook_url": f"{neighbour.url}/hook", "result_url": f"{neighbour.url}/bucket"}
    answer = await client.post(
        "/v1/avatars/anna/renders",
        files={"audio": ("words.wav", b"x")},
        data=body,
        headers={"Prefer": "respond-async"},
    )
    path = answer.headers["location"]
    await client.delete(path)  # it waits for a worker
    job = await delivered(client, path)
    assert [(each["kind"], each["state"]) for each in job["deliveries"]] == [
        ("result", "failed"),
        ("webhook", "delivered"),
    ]
    (taken,) = neighbour.taken
    assert json.loads(taken.body)["type"] == "job.canceled"


async def test_an_address_that_may_not_be_reached_is_refused_with_the_request(
    start: Start, neighbour: Neighbour, tmp_path: Path
) -> None:
    client = await make(start, neighbour, tmp_path)
    for name in ("webhook_url", "result_url"):
        for url, kind in (
            ("http://169.254.169.254/", "address-refused"),
            ("http://10.0.0.1/", "address-refused"),
            ("ftp://example.org/", "address-refused"),
            ("somewhere", "address-refused"),
            ("http://example.org/" + "a" * 3000, "invalid-request"),
        ):
            answer = await client.post("/v1/avatars/anna/renders", files={"audio": b"x"}, data={name: url})
            assert (answer.status_code, code(answer)) == (422, kind), url
    assert (await client.get("/v1/jobs")).json()["jobs"] == []


async def test_an_avatar_has_no_file_to_put(start: Start, neighbour: Neighbour, tmp_path: Path) -> None:
    client = await make(start, neighbour, tmp_path)
    body = {"video_url": "data:,x", "result_url": f"{neighbour.url}/bucket"}
    job = (await client.post("/v1/avatars", json=body, headers={"Prefer": "respond-async"})).json()
    assert job["deliveries"] == []
    assert [warning["code"] for warning in job["warnings"]] == ["unknown-fields"]


async def test_a_webhook_can_be_tried_out(start: Start, neighbour: Neighbour, tmp_path: Path) -> None:
    client = await make(start, neighbour, tmp_path)
    nowhere = await client.post("/v1/webhooks/test")
    assert (nowhere.status_code, code(nowhere)) == (422, "invalid-request")
    neighbour.answers["/hook"] = [200, 500]
    for expected in ((True, 200, None), (False, 500, "The receiver answered 500.")):
        answer = (
            await client.post("/v1/webhooks/test", json={"webhook_url": f"{neighbour.url}/hook"})
        ).json()
        assert (answer["delivered"], answer["status"], answer["detail"]) == expected
    said = Webhook(SECRET).verify(neighbour.taken[0].body, neighbour.taken[0].headers)
    assert said["type"] == "webhook.test"
    refused = await client.post("/v1/webhooks/test", json={"webhook_url": "http://10.0.0.1/"})
    assert (refused.status_code, code(refused)) == (422, "address-refused")


async def test_the_services_own_webhook_can_be_tried_out(start: Start, neighbour: Neighbour) -> None:
    client = await start(webhook_url=f"{neighbour.url}/own")
    assert (await client.post("/v1/webhooks/test")).json()["delivered"]
    assert neighbour.paths("POST") == ["/own"]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_short", "not base64!", "A" * 8, "A" * 200])
def test_a_secret_that_signs_nothing_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="openssl rand"):
        Settings(webhook_secret=secret)


def test_pauses_are_numbers_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOUTHPIECE_WEBHOOK_PAUSES", "1, 2.5")
    assert Settings().webhook_pauses == (1.0, 2.5)


async def test_a_body_that_is_no_text_is_told_so(start: Start) -> None:
    client = await start()
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/webhooks/test", content=b"\xff", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:mouthpiece:problem:invalid-request")


@pytest.mark.parametrize("body", ["webhook_url=http://x/", "[]", '{"webhook_url": ', "words"])
async def test_a_body_that_is_no_object_is_told_what_to_send(start: Start, body: str) -> None:
    client = await start()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": "text/plain"}, form):
        answer = await client.post("/v1/webhooks/test", content=body, headers=headers)
        assert (answer.status_code, code(answer)) == (422, "invalid-request")
        assert answer.json()["detail"] == "The body must be a JSON object, as UTF-8."


async def test_a_body_is_read_only_as_far_as_one_with_an_address_goes(start: Start) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1 << 14
            yield b"[" * (1 << 14)

    client = await start(compat="duix")
    for path in ("/v1/webhooks/test", "/easy/submit"):
        read = 0
        headers = {"Content-Type": "application/json"}
        answer = await client.post(path, content=endless(), headers=headers)
        assert "more than 65536 bytes" in answer.text
        assert read < 1 << 17


async def test_a_webhook_that_may_not_be_sent_is_not_told_of_files(start: Start) -> None:
    answer = await (await start()).post("/v1/webhooks/test", json={"webhook_url": "https://example.org/"})
    assert answer.json()["detail"] == (
        "This service may not connect to other hosts; the operator can set MOUTHPIECE_FETCH."
    )


async def test_an_address_without_a_scheme_is_told_what_it_lacks(start: Start) -> None:
    answer = await (await start()).post("/v1/webhooks/test", json={"webhook_url": "hook"})
    assert answer.json()["detail"] == "An address must begin with http:// or https://."


@pytest.mark.parametrize("hosts", ["https://example.org", "exa mple.org", "a:port", "a:1:2", "::1"])
def test_hosts_are_names_and_ports(hosts: str) -> None:
    with pytest.raises(ValidationError, match="such as minio:9000"):
        Settings(fetch=hosts)


def test_what_may_be_reached_is_read_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOUTHPIECE_FETCH", "public, MINIO:9000,[::1]:80")
    assert Allowance.of(Settings().fetch) == Allowance(True, frozenset({("minio", 9000), ("::1", 80)}))
