"""Bodies of JSON, and files by their addresses: fetched from a real server, given to a scripted worker."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.json_body import MAX_JSON_BYTES
from tests.integration.api.conftest import Start
from tests.integration.api.test_service import code
from tests.support.neighbour import Neighbour
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

FILM = bytes(range(256)) * 5000


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    with Neighbour(files={"/clips/me%20at%20home.mp4": FILM, "/empty": b""}).open() as there:
        yield there


async def make(start: Start, neighbour: Neighbour, **settings: Any) -> httpx.AsyncClient:
    return await start(fetch={f"127.0.0.1:{neighbour.port}"}, **settings)


def kept(tmp_path: Path) -> list[Path]:
    """Return what is in the folders of jobs."""
    return list((tmp_path / "data").glob("jobs/*/*"))


async def post(client: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    return await client.post("/v1/avatars", json=body, headers={"Prefer": "respond-async"} | headers)


async def test_a_file_is_fetched_from_its_address_in_json(start: Start, neighbour: Neighbour) -> None:
    client = await make(start, neighbour)
    body = {
        "video_url": f"{neighbour.url}/clips/me%20at%20home.mp4",
        "id": "anna",
        "smoothing": 0.1,
        "face": None,
    }
    job = (await post(client, body | {"pads": [0, 0.1, 0, 0], "colour": "red"})).json()
    assert job["filename"] == "me at home.mp4"
    assert job["avatar_id"] == "anna"
    assert [warning["code"] for warning in job["warnings"]] == ["unknown-fields"]
    assert "colour" in job["warnings"][0]["detail"]
    assert neighbour.taken[0].headers["accept-encoding"] == "identity"


async def test_a_form_may_name_an_address_too(start: Start, neighbour: Neighbour) -> None:
    client = await make(start, neighbour)
    form = {"video_url": (None, f"{neighbour.url}/clips/me%20at%20home.mp4")}
    answer = await client.post("/v1/avatars", files=form, headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.json()["filename"]) == (202, "me at home.mp4")


DATA = (
    "data:video/mp4;base64," + b64encode(FILM).decode(),
    "DATA:;base64,UklG%0ARg==",
    "data:video/mp4,a%20film",
    "data:,x",
)


async def test_a_data_uri_is_a_file_wherever_fetching_is_off(start: Start) -> None:
    client = await start()
    for name in ("video", "video_url"):
        for uri in DATA:
            answer = await post(client, {name: uri})
            assert (answer.status_code, answer.json()["filename"]) == (202, "upload")


WRONG: list[tuple[Any, int, str]] = [
    ({}, 422, "lacks the file 'video'; add it, or video_url"),
    ([], 422, "not an object"),
    ("words", 422, "not an object"),
    ({"video_url": ["http://a", "http://b"]}, 422, "may not connect"),
    ({"video_url": 5}, 422, "http://"),
    ({"video_url": "data:video/mp4;base64"}, 422, "comma"),
    ({"video_url": "data:video/mp4;base64,###"}, 422, "base64"),
    ({"video_url": "QUJD" * 5000}, 422, "video: base64 needs its type before it: data:video/mp4;"),
    ({"video": "A" * 63 + "\n" + "B" * 63 + "=="}, 422, "data:video/mp4;base64,"),
    ({"video_url": "A" * 63}, 422, "must begin with http://"),
    ({"video_url": "a/" * 40 + "me.mp4"}, 422, "must begin with http://"),
    ({"video_url": "data:,x", "smoothing": "wide"}, 422, "smoothing"),
    ({"video_url": "data:,x", "smoothing": {"a": 1}}, 422, "smoothing"),
    ({"video_url": "data:,x", "id": "An Id"}, 422, "such as 'anna-2'; 'An Id' is not one"),
    ({"video_url": "data:,x", "video": "data:,y"}, 422, "twice"),
    ({"video_url": "data:,x", "id": "a" * 5000}, 422, "longer"),
    ({"video_url": "https://example.org/a.mp4"}, 422, "may not connect"),
    ({"video_url": "file:///etc/passwd"}, 422, "http://"),
    ({"video_url": "HERE/nothing"}, 422, "answers 404"),
    ({"video_url": "HERE/endless"}, 413, "100000 bytes"),
    ({"video_url": "HERE/clips/me%20at%20home.mp4"}, 413, "100000 bytes"),
    ({"video_url": "HERE/to?url=http://169.254.169.254/"}, 422, "may not connect"),
    ({"video_url": "data:;base64," + "A" * 200_000}, 413, "100000 bytes"),
]
"""A body, and the status and the words that it is answered with; HERE is the server beside."""


async def test_what_is_wrong_is_said_at_once_and_nothing_is_kept(
    start: Start, neighbour: Neighbour, tmp_path: Path
) -> None:
    client = await make(start, neighbour, max_upload_bytes=100_000)
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    for body, status, sentence in WRONG:
        text = json.dumps(body).replace("HERE", neighbour.url)
        answer = await client.post("/v1/avatars", content=text, headers=headers)
        assert answer.status_code == status, text[:200]
        assert sentence in answer.json()["detail"]
    await until(lambda: kept(tmp_path) == [])
    assert (await client.get("/v1/jobs")).json()["jobs"] == []


async def test_what_is_no_json_is_refused(start: Start) -> None:
    client = await start()
    for body in (b"", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"id": "a", "id": "b"}'):
        answer = await client.post("/v1/avatars", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, code(answer)) == (422, "invalid-request"), body[:20]


async def test_a_body_of_json_has_a_limit_of_its_own(start: Start, tmp_path: Path) -> None:
    client = await start()
    answer = await post(client, {"video_url": "data:," + "x" * MAX_JSON_BYTES})
    assert (answer.status_code, code(answer)) == (413, "upload-too-large")
    assert "multipart/form-data" in answer.json()["detail"]
    await until(lambda: kept(tmp_path) == [])


async def test_a_file_and_its_address_are_one_too_many(start: Start, neighbour: Neighbour) -> None:
    client = await make(start, neighbour)
    file, address = {"video": ("a.mp4", b"film")}, {"video_url": f"{neighbour.url}/empty"}
    answer = await client.post("/v1/avatars", files=file, data=address)
    assert (answer.status_code, "not both" in answer.json()["detail"]) == (422, True)
    assert neighbour.taken == []


async def test_an_address_is_refused_where_nothing_is_allowed(start: Start, neighbour: Neighbour) -> None:
    client = await start()
    answer = await post(client, {"video_url": f"{neighbour.url}/empty"})
    assert (answer.status_code, code(answer)) == (422, "address-refused")
    assert "send the file itself" in answer.json()["detail"]
    assert "MOUTHPIECE_FETCH" in answer.json()["detail"]
    assert neighbour.taken == []


async def test_one_call_fetches_both_of_its_files(start: Start, neighbour: Neighbour) -> None:
    neighbour.files["/words.wav"] = b"sound"
    client = await make(start, neighbour)
    body = {
        "video_url": f"{neighbour.url}/clips/me%20at%20home.mp4",
        "audio_url": f"{neighbour.url}/words.wav",
    }
    answer = await client.post("/v1/renders", json=body, headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.json()["filename"]) == (202, "words.wav")
    assert answer.json()["video_filename"] == "me at home.mp4"
    assert sorted(neighbour.paths()) == ["/clips/me%20at%20home.mp4", "/words.wav"]
