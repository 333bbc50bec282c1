import asyncio
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from anyio import to_thread
from sqlalchemy.exc import OperationalError

from app.avatars.store import AvatarStore
from app.errors import DataFolderInUse
from app.jobs.job import Job, NewJob
from app.jobs.table import JobTable
from tests.integration.api.conftest import Start
from tests.support.waiting import DEADLINE, eventually, until

pytestmark = pytest.mark.anyio

KEYS = frozenset({"first-key", "second-key"})
V1_ROUTES = [
    ("GET", "/v1/info"),
    ("GET", "/v1/avatars"),
    ("POST", "/v1/avatars"),
    ("GET", "/v1/avatars/anna"),
    ("GET", "/v1/avatars/anna/preview.jpg"),
    ("HEAD", "/v1/avatars/anna/preview.jpg"),
    ("DELETE", "/v1/avatars/anna"),
    ("POST", "/v1/avatars/anna/renders"),
    ("POST", "/v1/renders"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/one"),
    ("GET", "/v1/jobs/one/events"),
    ("GET", "/v1/jobs/one/report"),
    ("HEAD", "/v1/jobs/one/report"),
    ("GET", "/v1/jobs/one/sheet.jpg"),
    ("HEAD", "/v1/jobs/one/sheet.jpg"),
    ("GET", "/v1/jobs/one/video"),
    ("HEAD", "/v1/jobs/one/video"),
    ("DELETE", "/v1/jobs/one"),
    ("POST", "/v1/webhooks/test"),
]


def code(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    kind: str = response.json()["type"]
    return kind.removeprefix("urn:mouthpiece:problem:")


async def until_loaded(client: httpx.AsyncClient) -> httpx.Response:
    """Return what ``/readyz`` answers once the model has been loaded, or could not be."""

    async def ask() -> httpx.Response | None:
        response = await client.get("/readyz")
        return None if "is loading" in response.text else response

    return await eventually(ask)


async def running_job(client: httpx.AsyncClient) -> str:
    """Return the address of a job once one is running."""

    async def ask() -> str | None:
        jobs = (await client.get("/v1/jobs?state=running")).json()["jobs"]
        return jobs[0]["links"]["self"] if jobs else None

    return await eventually(ask)


async def post_video(client: httpx.AsyncClient, name: str = "me.mp4", **headers: str) -> httpx.Response:
    return await client.post("/v1/avatars", files={"video": (name, b"pixels")}, headers=headers)


async def test_every_v1_route_asks_for_a_key_and_no_other_does(start: Start) -> None:
    client = await start(api_keys=KEYS)
    for method, path in V1_ROUTES:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic first-key"}):
            response = await client.request(method, path, headers=headers)
            assert response.status_code == 401, (method, path)
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert method == "HEAD" or code(response) == "unauthorized"
    for path in ("/livez", "/metrics", "/docs", "/openapi.json"):
        assert (await client.get(path)).status_code == 200


async def test_the_list_of_keyed_routes_is_complete(start: Start) -> None:
    client = await start()
    paths = (await client.get("/openapi.json")).json()["paths"]
    described = {(method.upper(), path) for path in paths if path.startswith("/v1") for method in paths[path]}
    tried = {
        (method, path.replace("anna", "{avatar_id}").replace("one", "{job_id}")) for method, path in V1_ROUTES
    }
    assert {pair for pair in tried if pair[0] != "HEAD"} == described


async def test_each_of_the_keys_opens(start: Start) -> None:
    client = await start(api_keys=KEYS)
    for key in KEYS:
        response = await client.get("/v1/avatars", headers={"Authorization": f"Bearer {key}"})
        assert response.status_code == 200


async def test_the_documentation_page_loads_nothing_from_elsewhere(start: Start) -> None:
    client = await start()
    page = (await client.get("/docs")).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) >= 2
    for address in addresses:
        assert address.startswith("/")
        assert (await client.get(address)).status_code == 200


async def unread() -> AsyncIterator[bytes]:
    """A body that must not be read."""
    raise AssertionError("the body was read")
    yield b""


FORM = {"Content-Type": "multipart/form-data; boundary=x"}


async def test_who_has_no_key_has_no_body_read(start: Start) -> None:
    client = await start(api_keys=KEYS)
    for method, path in V1_ROUTES:
        for headers in (FORM, {"Content-Type": "application/json"}):
            response = await client.request(method, path, content=unread(), headers=headers)
            assert response.status_code == 401, (method, path)


@pytest.mark.usefixtures("worker_process")
async def test_a_full_queue_is_said_before_the_body_is_read(start: Start) -> None:
    client = await start(max_queued=1)
    await post_video(client, "hang.mp4", Prefer="respond-async")
    await running_job(client)
    assert (await post_video(client, Prefer="respond-async")).status_code == 202
    response = await client.post("/v1/avatars", content=unread(), headers=FORM)
    assert response.status_code == 503
    assert code(response) == "queue-full"
    assert int(response.headers["retry-after"]) > 0


async def test_an_announced_length_beyond_the_limit_has_no_body_read(start: Start) -> None:
    client = await start(max_upload_bytes=1000)
    headers = FORM | {"Content-Length": "1000000"}
    response = await client.post("/v1/avatars", content=unread(), headers=headers)
    assert (response.status_code, code(response)) == (413, "upload-too-large")


async def test_an_unknown_avatar_has_no_body_read(start: Start) -> None:
    client = await start()
    response = await client.post("/v1/avatars/nobody/renders", content=unread(), headers=FORM)
    assert (response.status_code, code(response)) == (404, "avatar-not-found")


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("refuse.mp4", 422, "no-face"),
        ("break.mp4", 500, "internal-error"),
        ("crash.mp4", 500, "render-process-crashed"),
    ],
)
@pytest.mark.usefixtures("worker_process")
async def test_a_waiting_client_gets_the_problem_of_its_job(
    start: Start, tmp_path: Path, name: str, status: int, expected: str
) -> None:
    client = await start(max_attempts=1)
    response = await post_video(client, name)
    assert (response.status_code, code(response)) == (status, expected)
    job = (await client.get(response.headers["content-location"])).json()
    assert (job["state"], job["error"]) == ("failed", response.json())
    assert "secret" not in response.text


@pytest.mark.usefixtures("worker_process")
async def test_a_waiting_client_is_told_that_its_job_was_canceled(start: Start) -> None:
    client = await start()
    waiting = asyncio.create_task(post_video(client, "hang.mp4"))
    assert (await client.delete(await running_job(client))).status_code == 204
    response = await waiting
    assert (response.status_code, code(response)) == (410, "job-canceled")


async def test_an_error_that_nobody_foresaw_shows_none_of_its_words(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: AvatarStore) -> None:
        raise RuntimeError("secret words")

    client = await start()
    monkeypatch.setattr(AvatarStore, "survey", fail)
    response = await client.get("/v1/avatars")
    assert (response.status_code, code(response)) == (500, "internal-error")
    assert "secret" not in response.text


async def test_a_database_that_cannot_be_used_is_said_to_be_so(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: JobTable, job_id: str) -> None:
        raise OperationalError("select", {}, Exception("database is locked"))

    client = await start()
    monkeypatch.setattr(JobTable, "get", fail)
    response = await client.get("/v1/jobs/one")
    assert (response.status_code, code(response)) == (503, "not-ready")
    assert int(response.headers["retry-after"]) > 0


async def test_an_upload_that_a_failing_database_refuses_leaves_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(self: JobTable, *_: Any) -> None:
        raise OperationalError("insert", {}, Exception("disk I/O error"))

    client = await start()
    for change in ("insert", "get"):
        monkeypatch.setattr(JobTable, change, fail)
    response = await post_video(client)
    assert (response.status_code, code(response)) == (503, "not-ready")
    await until(lambda: list((tmp_path / "data" / "jobs").iterdir()) == [])


async def test_no_job_is_taken_for_a_database_that_was_taken_away(start: Start, tmp_path: Path) -> None:
    client = await start()
    await until_loaded(client)
    for file in (tmp_path / "data").glob("jobs.sqlite3*"):
        file.unlink()
    while (ready := await client.get("/readyz")).status_code == 200:  # noqa: ASYNC110 - no events
        await asyncio.sleep(0.1)
    answer = await post_video(client)
    assert code(ready) == code(answer) == "not-ready"
    for told in (ready, answer):  # whoever connects meanwhile makes a new, empty one
        assert re.search("The job database .* was (removed|replaced)", told.json()["detail"])


@pytest.mark.usefixtures("worker_process")
async def test_a_damaged_model_is_said_where_an_operator_looks(start: Start, tmp_path: Path) -> None:
    client = await start(model=tmp_path / "damaged.onnx")
    response = await until_loaded(client)
    assert "352 entries expected, 17 found" in response.json()["detail"]
    for answer in (await client.get("/v1/info"), await post_video(client)):
        assert (answer.status_code, answer.json()) == (503, response.json())
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/v1/avatars")).status_code == 200


async def test_a_request_that_the_end_of_the_service_cuts_off_leaves_its_job_what_it_needs(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, begun, cut_off = JobTable.insert, threading.Event(), threading.Event()

    def insert_late(table: JobTable, new: NewJob) -> Job:
        begun.set()
        cut_off.wait()
        return insert(table, new)

    client = await start()
    await until_loaded(client)
    monkeypatch.setattr(JobTable, "insert", insert_late)
    posting = asyncio.create_task(post_video(client))
    await until(begun.is_set)
    posting.cancel()  # as the server cancels what is open when its time to stop is over
    assert (await posting).status_code == 503
    cut_off.set()

    async def jobs() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await client.get("/v1/jobs")).json()["jobs"]
        return found

    (job,) = await eventually(jobs)
    assert (job["state"], (tmp_path / "data" / "jobs" / job["id"] / "upload").exists()) == ("queued", True)


async def test_two_services_cannot_share_a_data_folder(start: Start) -> None:
    await start()
    with pytest.raises(DataFolderInUse):
        await start()


async def test_finished_jobs_expire_with_their_files(start: Start, tmp_path: Path) -> None:
    client = await start(job_ttl=0.5)
    job = (await post_video(client, Prefer="respond-async")).json()

    async def is_gone() -> bool:
        return (await client.get(job["links"]["self"])).status_code == 404

    await eventually(is_gone)
    await until(lambda: not (tmp_path / "data" / "jobs" / job["id"]).exists())


async def test_a_job_whose_end_is_not_on_record_yet_is_not_said_to_be_deleted(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, full = JobTable.save, [True]

    def refuse(table: JobTable, job: Job) -> bool:
        if full and job.state.is_terminal:
            raise OperationalError("update", {}, Exception("database or disk is full"))
        return save(table, job)

    monkeypatch.setattr(JobTable, "save", refuse)
    client = await start()
    response = await post_video(client, "refuse.mp4")
    assert (response.status_code, code(response)) == (422, "no-face")
    address = response.headers["content-location"]
    response = await client.delete(address)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    full.clear()

    async def is_deleted() -> bool:
        return (await client.delete(address)).status_code == 204

    await eventually(is_deleted)
    assert (await client.get(address)).status_code == 404


async def test_the_description_of_the_api_names_every_status_of_an_upload_and_of_a_look(start: Start) -> None:
    client = await start(api_keys=KEYS)
    document = (await client.get("/openapi.json")).json()
    refused = {"401", "403", "421"}
    for path, statuses in (
        (
            "/v1/avatars",
            {"200", "201", "202", *refused, "404", "409", "410", "413", "415", "422", "500", "503", "507"},
        ),
        (
            "/v1/avatars/{avatar_id}/renders",
            {"200", "202", *refused, "404", "410", "413", "415", "422", "500", "502", "503", "507"},
        ),
    ):
        operation = document["paths"][path]["post"]
        assert set(operation["responses"]) == statuses
        assert "multipart/form-data" in operation["requestBody"]["content"]
    for path in ("/v1/avatars", "/v1/avatars/{avatar_id}"):
        assert {"503", "507"} <= set(document["paths"][path]["get"]["responses"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_the_description_of_the_api_asks_for_a_key_only_where_the_service_does(start: Start) -> None:
    client = await start()
    document = (await client.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) >= len(V1_ROUTES) - 2
    assert [operation for operation in operations if "security" in operation] == []
    assert [operation for operation in operations if "401" in operation["responses"]] == []


async def test_the_description_of_a_form_has_what_a_form_can_have(start: Start) -> None:
    """Texts and numbers with their forms; no null, which a form cannot send."""
    client = await start()
    document = (await client.get("/openapi.json")).json()
    for path, patterns in (
        ("/v1/avatars", {"pads": ("0,0.05,0,-.1", "wide"), "id": ("anna-2", "Anna")}),
        ("/v1/avatars/{avatar_id}/renders", {"keep": ("1-2,3.5-4", "always")}),
    ):
        schema = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert "null" not in str(schema)
        for name, (good, bad) in patterns.items():
            pattern = schema["properties"][name]["pattern"]
            assert re.search(pattern, good)
            assert not re.search(pattern, bad)


async def test_a_job_is_told_by_the_name_of_its_file(start: Start) -> None:
    client = await start()
    job = (await post_video(client, "Anna (1).mp4", Prefer="respond-async")).json()
    assert job["filename"] == "Anna (1).mp4"


@pytest.mark.parametrize("name", ["abc" * 3000, "Ab^" * 3000])
async def test_a_long_name_is_not_repeated_whole(start: Start, name: str) -> None:
    client = await start()
    for method, path in [
        ("GET", f"/v1/jobs?avatar={name}"),
        ("GET", f"/v1/jobs?state={name}"),
        ("GET", f"/v1/jobs/{name}"),
        ("GET", f"/v1/avatars/{name}"),
        ("POST", f"/v1/avatars?id={name}"),
    ]:
        answer = await client.request(method, path, headers={"Content-Type": "video/mp4"})
        assert answer.status_code in (404, 422), path[:40]
        assert len(answer.text) < 600
    answer = await client.post("/v1/webhooks/test", json={name: 1})
    assert (answer.status_code, len(answer.text) < 600) == (422, True)


async def test_a_check_whose_report_has_gone_by_the_time_of_its_answer_is_not_found(start: Start) -> None:
    client = await start()
    response = await client.post("/v1/avatars?check=true", files={"video": ("me.mp4", b"pixels")})
    assert (response.status_code, code(response)) == (404, "job-not-found")  # the script writes no report


async def test_a_volume_of_avatars_that_hangs_holds_up_the_metrics_and_nothing_else(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start()
    goes_on = Event()
    monkeypatch.setattr(AvatarStore, "cache_bytes", lambda *_: int(goes_on.wait(DEADLINE)))
    scrapes = [asyncio.create_task(client.get("/metrics")) for _ in range(45)]
    lists = [asyncio.create_task(client.get("/v1/avatars")) for _ in range(45)]
    try:
        await asyncio.sleep(0.1)  # they arrive
        done = await asyncio.wait_for(to_thread.run_sync(lambda: "there"), DEADLINE / 4)
        await asyncio.wait_for(asyncio.gather(*lists), DEADLINE / 4)
    finally:
        goes_on.set()
    assert done == "there"
    assert {answer.status_code for answer in await asyncio.gather(*scrapes)} == {200}
