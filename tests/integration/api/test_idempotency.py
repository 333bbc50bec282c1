"""The same request under the same key makes one job, whenever and however often it comes."""

import asyncio
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.idempotency import turn
from app.avatars.store import AvatarStore
from tests.integration.api.conftest import Start
from tests.integration.api.test_service import code
from tests.support.avatars import made_up_manifest, put_made_up
from tests.support.neighbour import Neighbour
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

RENDERS = "/v1/avatars/anna/renders"


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    with Neighbour(files={"/words.wav": b"sound"}).open() as there:
        yield there


@pytest.fixture
def anna(tmp_path: Path) -> None:
    put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest("anna"))


async def post(
    client: httpx.AsyncClient, key: str = "one", path: str = RENDERS, wait: bool = False, **given: Any
) -> httpx.Response:
    headers = {"Idempotency-Key": key} | ({} if wait else {"Prefer": "respond-async"})
    headers |= given.pop("headers", {})
    body = {"files": {"audio": ("words.wav", b"sound")}} | given
    return await client.post(path, headers=headers, **body)


async def jobs(client: httpx.AsyncClient) -> int:
    return len((await client.get("/v1/jobs")).json()["jobs"])


@pytest.mark.usefixtures("anna")
async def test_fifty_equal_requests_at_once_make_one_job(start: Start, tmp_path: Path) -> None:
    client = await start(max_queued=3)
    answers = await asyncio.gather(*(post(client) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await jobs(client) == 1
    await until(lambda: len(list((tmp_path / "data/jobs").iterdir())) == 1)


@pytest.mark.usefixtures("anna")
async def test_a_job_that_has_ended_answers_again(start: Start) -> None:
    client = await start()
    first, second, third = [await post(client, wait=True) for _ in range(3)]
    assert first.content == second.content == third.content == b"frames 3"
    assert first.headers["content-location"] == third.headers["content-location"]
    streamed = await post(client, key="two", path=f"{RENDERS}?stream=true", wait=True)
    assert (
        await post(client, key="two", path=f"{RENDERS}?stream=true", wait=True)
    ).content == streamed.content
    assert await jobs(client) == 2


OTHERS: list[dict[str, Any]] = [
    {"files": {"audio": ("words.wav", b"other")}},
    {"data": {"quality": "high"}},
    {"data": {"webhook_url": "http://127.0.0.1:9000/"}},
    {"path": f"{RENDERS}?stream=true"},
    {"path": "/v1/avatars", "files": {"video": b"sound"}},
    {"path": "/v1/renders", "data": {"avatar": "anna"}},
]


@pytest.mark.usefixtures("anna")
async def test_another_request_under_the_key_is_refused(start: Start, tmp_path: Path) -> None:
    client = await start(fetch={"127.0.0.1:9000"})
    await post(client)
    for other in OTHERS:
        answer = await post(client, **other)
        assert (answer.status_code, code(answer)) == (422, "idempotency-key-reused"), other
    assert await jobs(client) == 1
    await until(lambda: len(list((tmp_path / "data/jobs").iterdir())) == 1)


@pytest.mark.usefixtures("anna")
async def test_a_key_belongs_to_an_api_key(start: Start) -> None:
    client = await start(api_keys=frozenset({"a", "b"}))
    ids = set()
    for owner in ("a", "b", "a"):
        answer = await post(client, headers={"Authorization": f"Bearer {owner}"})
        ids.add(answer.json()["id"])
    assert len(ids) == 2


async def test_an_avatar_with_an_id_is_not_said_to_be_there_already(start: Start, tmp_path: Path) -> None:
    client = await start(model=tmp_path / "slow.onnx")
    body: dict[str, Any] = {"path": "/v1/avatars", "files": {"video": b"x"}, "data": {"id": "bob"}}
    answers = await asyncio.gather(*(post(client, **body) for _ in range(10)))
    assert [answer.status_code for answer in answers] == [202] * 10
    other = await post(client, key="two", **body)
    assert (other.status_code, code(other)) == (409, "avatar-exists")


@pytest.mark.usefixtures("anna")
async def test_what_is_fetched_is_fetched_once(start: Start, neighbour: Neighbour) -> None:
    client = await start(fetch={f"127.0.0.1:{neighbour.port}"})
    body = {"audio_url": f"{neighbour.url}/words.wav"}
    answers = await asyncio.gather(*(post(client, files=None, json=body) for _ in range(10)))
    neighbour.files.clear()
    answers.append(await post(client, files=None, json=body))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert neighbour.paths() == ["/words.wav"]


@pytest.mark.usefixtures("anna")
async def test_who_waits_for_its_turn_under_a_key_keeps_its_files_on_the_disk(
    start: Start, tmp_path: Path
) -> None:
    client = await start()
    folder, bytes_each, waiting = tmp_path / "data/jobs", 4 << 20, 8
    body = b'{"audio": "data:;base64,%s"}' % (b"QUJD" * (bytes_each // 4))
    headers = {"Content-Type": "application/json"}
    async with turn(sha256(b"\none").hexdigest()):
        tracemalloc.start()
        posts = [
            asyncio.create_task(post(client, files=None, content=body, headers=headers))
            for _ in range(waiting)
        ]
        uploads = [bytes_each // 4 * 3] * waiting
        await until(lambda: [file.stat().st_size for file in folder.glob("*/upload")] == uploads)
        await until(lambda: tracemalloc.get_traced_memory()[0] < bytes_each)
        tracemalloc.stop()
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    await until(lambda: len(list(folder.iterdir())) == 1)


@pytest.mark.usefixtures("anna")
async def test_a_request_that_was_refused_can_be_repeated(start: Start, neighbour: Neighbour) -> None:
    client = await start(fetch={f"127.0.0.1:{neighbour.port}"})
    body = {"audio_url": f"{neighbour.url}/later.wav"}
    assert code(await post(client, files=None, json=body)) == "fetch-failed"
    neighbour.files["/later.wav"] = b"sound"
    assert (await post(client, files=None, json=body)).status_code == 202


@pytest.mark.usefixtures("anna")
async def test_a_request_is_answered_with_its_job_though_its_avatar_is_gone(start: Start) -> None:
    client = await start()
    first = await post(client, wait=True)
    await client.delete("/v1/avatars/anna")
    again = await post(client, wait=True)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["content-location"] == first.headers["content-location"]
    other = await post(client, key="two")
    assert (other.status_code, code(other)) == (404, "avatar-not-found")


@pytest.mark.usefixtures("anna")
async def test_a_key_is_free_again_when_its_job_is_forgotten(start: Start) -> None:
    client = await start()
    first = await post(client)
    assert (await post(client, wait=True)).status_code == 200
    await client.delete(first.headers["location"])
    assert (await post(client)).json()["id"] != first.json()["id"]


@pytest.mark.usefixtures("anna")
async def test_a_key_is_one_and_printable_and_short(start: Start) -> None:
    client = await start()
    for keys in ([b""], [b"x" * 256], [b"\xe4"], [b"one", b"two"]):
        headers = [(b"Idempotency-Key", key) for key in keys]
        answer = await client.post(RENDERS, files={"audio": b"x"}, headers=headers)
        assert (answer.status_code, code(answer)) == (422, "invalid-request"), keys


@pytest.mark.usefixtures("anna")
async def test_quotes_around_a_key_do_not_count(start: Start) -> None:
    client = await start()
    assert (await post(client, key='"abc"')).json()["id"] == (await post(client, key="abc")).json()["id"]
