"""The adapters for clients of other services: off unless asked for, and locked as the rest is."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.api.compat import ADAPTERS, common
from app.errors import JobNotFound
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, JobState, NewJob, utc_now
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.settings import Settings
from tests.integration.api.conftest import Start
from tests.support.neighbour import Neighbour
from tests.support.waiting import eventually, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    with Neighbour(files={"/head.mp4": b"pixels", "/words.wav": b"sound"}).open() as there:
        yield there


CALLS = [
    ("replicate", "POST", "/predictions"),
    ("replicate", "POST", "/v1/predictions"),
    ("replicate", "GET", "/v1/predictions/one"),
    ("fal", "POST", "/fal/queue/owner/app"),
    ("fal", "PUT", "/fal/queue/owner/app/requests/one/cancel"),
    ("sync", "POST", "/v2/generate"),
    ("sync", "GET", "/v2/generations"),
    ("duix", "POST", "/easy/submit"),
    ("duix", "GET", "/easy/query?code=one"),
]


async def ask(client: httpx.AsyncClient, method: str, path: str, **headers: str) -> httpx.Response:
    return await client.request(method, path, headers=headers, json=None if method == "GET" else {})


async def test_each_is_there_only_if_it_is_asked_for(start: Start) -> None:
    client = await start(compat="sync")
    for name, method, path in CALLS:
        missing = (await ask(client, method, path)).status_code in (404, 405)
        assert missing is (name != "sync"), path
    assert (await client.get("/outputs/one.mp4")).status_code == 404


async def test_none_is_there_by_default(start: Start) -> None:
    client = await start()
    assert {(await ask(client, method, path)).status_code for _, method, path in CALLS} <= {404, 405}
    described = (await client.get("/openapi.json")).json()["paths"]
    assert not [path for path in described if path.startswith(("/fal", "/v2", "/easy", "/outputs"))]


@pytest.mark.parametrize("key", ["Bearer sesame", "Token sesame", "Key sesame", ""])
async def test_a_key_is_taken_as_their_clients_send_it(start: Start, key: str) -> None:
    client = await start(compat=set(ADAPTERS), api_keys="sesame")
    headers = {"Authorization": key} if key else {"X-Api-Key": "sesame"}
    for _, method, path in CALLS:
        for wrong in ({}, {"Authorization": "Key wrong"}, {"X-Api-Key": "wrong"}):
            assert (await ask(client, method, path, **wrong)).status_code == 401, path
        assert (await ask(client, method, path, **headers)).status_code != 401, path


async def test_what_is_wrong_is_said_in_each_ones_form(start: Start) -> None:
    client = await start(compat=set(ADAPTERS))
    sent = b"[1, 2"
    json = {"Content-Type": "application/json"}
    problem = await client.post("/predictions", content=sent, headers=json)
    assert (problem.status_code, problem.json()["status"]) == (422, 422)
    detail = await client.post("/fal/queue/a/b", content=sent, headers=json)
    assert (detail.status_code, "not JSON" in detail.json()["detail"]) == (422, True)
    error = await client.post("/v2/generate", content=sent, headers=json)
    assert (error.status_code, error.json()["statusCode"], error.json()["error"]) == (400, 400, "Bad Request")
    code = await client.post("/easy/submit", content=sent, headers=json)
    assert (code.status_code, code.json()["code"]) == (200, 10002)
    cursor = await client.get("/v1/predictions?cursor=x")
    assert cursor.status_code == 422


async def test_one_that_was_looked_for_a_moment_too_early_harms_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = await start(compat=set(ADAPTERS), model=tmp_path / "slow.onnx")
    body = {"input": {"video": "data:video/mp4,pixels", "audio": "data:audio/wav,sound"}}
    first = await client.put("/predictions/mine", json=body, headers={"Prefer": "respond-async"})
    folders = list((tmp_path / "data" / "jobs").iterdir())

    async def not_yet(*_: Any) -> Job:
        raise JobNotFound("Not yet.")

    with monkeypatch.context() as patch:
        patch.setattr(common, "find", not_yet)
        late = await client.put("/predictions/mine", json=body)
    assert (first.status_code, late.status_code) == (202, 409)
    assert len(folders) == 1
    await until(lambda: list((tmp_path / "data" / "jobs").iterdir()) == folders)


def test_a_service_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="replicate"):
        Settings(compat="heygen")


async def test_of_many_requests_with_one_id_one_makes_a_job(start: Start) -> None:
    client = await start(compat=set(ADAPTERS))
    body = {"input": {"video": "data:video/mp4,pixels", "audio": "data:audio/wav,sound"}}
    headers = {"Prefer": "respond-async"}

    async def put() -> httpx.Response:
        return await client.put("/predictions/mine", json=body, headers=headers)

    answers = await asyncio.gather(*(put() for _ in range(30)))
    assert {answer.status_code for answer in answers} <= {200, 202, 409}, answers[0].text
    assert [answer.status_code for answer in answers].count(409) < 30
    jobs = (await client.get("/v1/jobs")).json()["jobs"]
    assert len(jobs) == 1
    again = await put()
    assert again.json()["id"] == "mine"


@pytest.mark.parametrize("own", ["a?b", "a#b", "a b", "100%", "a%2Fb", "ü"])
async def test_an_address_leads_to_its_job_whatever_id_or_app_is_in_it(start: Start, own: str) -> None:
    client = await start(compat=set(ADAPTERS))
    files = {"video": "data:video/mp4,pixels", "audio": "data:audio/wav,sound"}
    sent, headers = quote(own, safe=""), {"Prefer": "respond-async"}
    put = await client.put(f"/predictions/{sent}", json={"input": files}, headers=headers)
    queued = await client.post(
        f"/fal/queue/{sent}/{sent}", json={f"{name}_url": url for name, url in files.items()}
    )
    for address in (put.json()["urls"]["get"], queued.json()["status_url"]):
        assert (await client.get(address)).status_code == 200, address
    assert (await client.get(put.json()["urls"]["get"])).json()["id"] == own


@pytest.mark.parametrize("hook", [["https://receiver.example"], {"url": "https://receiver.example"}, 7])
async def test_a_webhook_whose_address_is_no_string_is_refused(start: Start, hook: object) -> None:
    client = await start(compat=set(ADAPTERS), fetch="receiver.example")
    files = [{"type": "video", "url": "data:,pixels"}, {"type": "audio", "url": "data:,sound"}]
    made = await client.post("/v2/generate", json={"input": files, "webhookUrl": hook})
    assert made.status_code == 400
    asked = {"video": "data:,pixels", "audio": "data:,sound"}
    for name in ("webhook", "webhook_completed"):
        assert (await client.post("/v1/predictions", json={"input": asked, name: hook})).status_code == 422
    assert (await client.get("/v2/generations")).json() == []


DEEP: Any = "deep"
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize("more", [{"x": 1e999}, {"x": "\ud800", "\ud800": 1}, {"x": DEEP}, {"x": 10**4000}])
async def test_whatever_else_is_asked_for_is_refused_or_can_be_shown(
    start: Start, more: dict[str, Any]
) -> None:
    client = await start(compat=set(ADAPTERS))
    asked = {"video": "data:,pixels", "audio": "data:,sound"} | more
    listed = [{"type": "video", "url": "data:,pixels"}, {"type": "audio", "url": "data:,sound"} | more]
    headers = {"Content-Type": "application/json"}
    for path, body in {"/v1/predictions": {"input": asked}, "/v2/generate": {"input": listed}}.items():
        sent = json.dumps(body).replace("Infinity", "1e999")
        assert (await client.post(path, content=sent, headers=headers)).status_code in (201, 422)
    for path in ("/v1/predictions", "/v2/generations"):
        assert (await client.get(path)).status_code == 200


def test_a_request_is_shown_without_its_files_and_up_to_some_length() -> None:
    said = {"input": {"video": "data:," + "x" * 10**6, "fps": 25}, "version": "v", "model": None}
    assert common.shown_of(said) == said | {"input": {"video": "data:," + "x" * 54 + "…", "fps": 25}}
    many = {"input": [[["x" * 400] * 50] * 50] * 50, "model": "m" * 10**6, "options": {"a": 1}}
    assert common.shown_of(many) == {"input": [], "model": "m" * 60 + "…", "options": {}}


@pytest.mark.parametrize(
    ("queued", "more"),
    [
        (0, {"video_url": "my-own-file.mp4"}),
        (0, {"video_url": "https://not-allowed.example/video"}),
        (0, {"video_url": "ftp://allowed.example/video"}),
        (0, {"audio_url": "{neighbour}/gone.wav"}),
        (0, {"quality": "ultra"}),
        (1, {}),
    ],
)
async def test_a_request_of_duix_that_is_refused_leaves_the_finished_job_of_its_code(
    start: Start, tmp_path: Path, neighbour: Neighbour, queued: int, more: dict[str, str]
) -> None:
    files = DataFolder(tmp_path / "data")
    engine = open_database(files.database)
    table = JobTable(engine)
    job_id = sha256(b"duix\0\0mine").hexdigest()[:32]
    params = {"compat": {"api": "duix", "id": "mine"}}
    job = table.insert(NewJob(job_id, JobKind.RENDER, "anna", params))
    table.save(replace(job, state=JobState.SUCCEEDED, finished_at=utc_now()))
    for number in range(queued):
        table.insert(NewJob(str(number), JobKind.RENDER, "anna"))
    engine.dispose()
    path = files.result(job)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"film")
    allowed = f"127.0.0.1:{neighbour.port}"
    client = await start(compat="duix", fetch=allowed, max_queued=1, model=tmp_path / "slow.onnx")
    body = duix(neighbour) | {name: value.format(neighbour=neighbour.url) for name, value in more.items()}

    answer = (await client.post("/easy/submit", json=body)).json()

    assert answer["code"] in (10001, 10002)
    assert (await client.get("/easy/query?code=mine")).json()["data"]["status"] == 2
    assert path.read_bytes() == b"film"
    await until(lambda: {folder.name for folder in path.parent.parent.iterdir()} <= {job_id})


@pytest.mark.parametrize(
    ("own", "said"), [("\ud800", "half a character"), ("x" * 201, "code: longer than 200 characters.")]
)
async def test_a_code_of_duix_that_could_not_be_told_is_refused(
    start: Start, neighbour: Neighbour, own: str, said: str
) -> None:
    client = await start(compat="duix", fetch=f"127.0.0.1:{neighbour.port}")
    body = json.dumps(duix(neighbour) | {"code": own})
    answer = (await client.post("/easy/submit", content=body)).json()
    assert (answer["code"], answer["success"]) == (10002, False)
    assert said in answer["msg"]
    assert (await client.get("/v1/jobs")).json()["jobs"] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"code": "mine", ', "The body is not JSON; send a JSON object"),
        (b"", "The body is not JSON"),
        (b"[" * 40_000, "The body is not JSON"),
        (b'["code"]', "code: missing"),
        (b"{}", "code: missing"),
        (b'{"code": null}', "code: missing"),
        (b'{"code": true}', "code: not a string"),
        (b'{"code": 1.5}', "code: not a string"),
        (b'{"code": ["a"]}', "code: not a string"),
    ],
)
async def test_a_body_of_duix_without_a_code_is_told_apart_from_none(
    start: Start, body: bytes, said: str
) -> None:
    client = await start(compat="duix")
    answer = (await client.post("/easy/submit", content=body)).json()
    assert (answer["code"], answer["msg"][: len(said)]) == (10002, said)


async def test_a_code_of_duix_is_that_of_its_query_whatever_its_length(
    start: Start, neighbour: Neighbour
) -> None:
    client = await start(compat="duix", fetch=f"127.0.0.1:{neighbour.port}")
    own = "é" * 200
    assert (await client.post("/easy/submit", json=duix(neighbour) | {"code": own})).json()["code"] == 10000
    answer = (await client.get("/easy/query", params={"code": own})).json()
    assert (answer["code"], answer["data"]["code"]) == (10000, own)


async def test_a_job_of_duix_is_replaced_when_all_of_the_next_one_has_come(
    start: Start, tmp_path: Path, neighbour: Neighbour
) -> None:
    client = await start(compat="duix", fetch=f"127.0.0.1:{neighbour.port}")
    body, jobs = duix(neighbour), tmp_path / "data" / "jobs"

    async def video() -> bytes | None:
        data = (await client.get("/easy/query?code=mine")).json()["data"]
        return (await client.get(data["result"])).content if data["status"] == 2 else None

    made = set()
    for _ in range(3):
        assert (await client.post("/easy/submit", json=body)).json()["code"] == 10000
        assert await eventually(video) == b"frames 3"
        (job,) = (await client.get("/v1/jobs")).json()["jobs"]
        made.add(job["created_at"])
        await until(lambda: len(list(jobs.iterdir())) == 1)
    assert len(made) == 3
    del neighbour.files["/words.wav"]
    assert (await client.post("/easy/submit", json=body)).json()["code"] == 10002
    assert await video() == b"frames 3"


FILES = {"video": "head.mp4", "audio": "words.wav"}


def duix(neighbour: Neighbour) -> dict[str, str]:
    """Return a request in the words of Duix."""
    addresses = {f"{name}_url": f"{neighbour.url}/{file}" for name, file in FILES.items()}
    return {"code": "mine"} | addresses
