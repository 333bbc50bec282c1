"""HEAD wherever there is GET, and no redirect for a slash."""

from pathlib import Path

import pytest

from app.avatars.store import PREVIEW, AvatarStore
from tests.integration.api.conftest import Start
from tests.integration.api.test_service import until_loaded
from tests.support.avatars import made_up_manifest, put_made_up

pytestmark = pytest.mark.anyio


async def test_head_is_answered_as_get_is_but_for_the_body(start: Start, tmp_path: Path) -> None:
    folder = put_made_up(AvatarStore(tmp_path / "avatars"), made_up_manifest("anna"))
    (folder / PREVIEW).write_bytes(b"picture")
    client = await start()
    await until_loaded(client)
    made = await client.post("/v1/avatars/anna/renders", files={"audio": b"x"})
    here = made.headers["content-location"]
    paths = (await client.get("/openapi.json")).json()["paths"]
    gets = [path for path in paths if "get" in paths[path]]
    assert len(gets) >= 10
    for path in [*gets, "/", "/docs", "/openapi.json", "/studio/main.js"]:
        url = path.replace("/v1/jobs/{job_id}", here).replace("{avatar_id}", "anna")
        if url.endswith("/events"):
            continue
        get, head = await client.get(url), await client.head(url)
        assert head.status_code == get.status_code, url
        assert head.content == b""
        assert head.headers["content-type"] == get.headers["content-type"]
        if url != "/metrics":
            assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.usefixtures("worker_process")
async def test_head_of_an_endless_answer_ends(start: Start) -> None:
    client = await start()
    job = await client.post(
        "/v1/avatars", files={"video": ("hang.mp4", b"x")}, headers={"Prefer": "respond-async"}
    )
    answer = await client.head(f"{job.headers['location']}/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_head_of_what_is_not_there_is_404_and_where_there_is_no_get_405(start: Start) -> None:
    client = await start()
    assert (await client.head("/v1/avatars/nobody")).status_code == 404
    answer = await client.head("/v1/webhooks/test")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = await client.put("/v1/avatars")
    assert (answer.status_code, answer.headers["allow"]) == (405, "HEAD, GET, POST")
    assert answer.json()["detail"] == "There is no PUT at this address, only HEAD, GET, POST."
    answer = await client.put("/studio/studio.css")
    assert (answer.status_code, answer.headers["allow"]) == (405, "HEAD, GET")
    assert answer.json()["detail"] == "There is no PUT at this address, only HEAD, GET."


async def test_a_slash_at_the_end_makes_no_difference(start: Start) -> None:
    client = await start()
    assert (await client.get("/v1/avatars/")).json() == (await client.get("/v1/avatars")).json()
    answer = await client.post("/v1/avatars/", files={"video": b"x"}, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert (await client.get(f"{answer.headers['location']}/")).status_code == 200
    assert (await client.get("/docs/")).status_code == 200
    assert (await client.get("/")).status_code == 200
