"""Ranges of a finished video, as RFC 9110 has them, whichever are asked for."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response
from hypothesis import given
from hypothesis import strategies as st

from app.api.videos import finished_video
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind

VIDEO = bytes(range(251)) * 4
SIZE = len(VIDEO)
PLACES = st.none() | st.integers(0, SIZE + 2) | st.integers(0, 10**20)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """A service of nothing but a finished video."""
    root: Path = tmp_path_factory.mktemp("data")
    services: Any = SimpleNamespace(files=DataFolder(root))
    job = Job("job", JobKind.RENDER, "anna", number=7)
    path = services.files.result(job)
    path.parent.mkdir(parents=True)
    path.write_bytes(VIDEO)
    app = FastAPI()

    @app.api_route("/", methods=["GET", "HEAD", "POST"])
    async def video() -> Response:
        return finished_video(services, job, {})

    return app


def ask(service: FastAPI, wanted: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Return the answer to a request for a range."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(service)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, "/", headers={"Range": wanted} | headers)

    return asyncio.run(get())


@given(first=PLACES, last=PLACES)
def test_a_range_is_answered_with_its_bytes_or_refused_or_ignored(
    service: FastAPI, first: int | None, last: int | None
) -> None:
    places = ["" if place is None else str(place) for place in (first, last)]
    answer = ask(service, f"bytes={'-'.join(places)}")
    backward = first is not None and last is not None and last < first
    if first is last is None or backward or any(len(place) > 18 for place in places):
        assert (answer.status_code, answer.content) == (200, VIDEO)  # no range: to be ignored
        return
    begin = SIZE - min(last or 0, SIZE) if first is None else first
    end = SIZE if first is None or last is None else min(last + 1, SIZE)
    if begin >= SIZE:
        assert answer.status_code == 416
        assert answer.headers["Content-Range"] == f"bytes */{SIZE}"
    else:
        assert (answer.status_code, answer.content) == (206, VIDEO[begin:end])
        assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{SIZE}"


DIGITS = "9" * 4300


@pytest.mark.parametrize(
    "wanted",
    [
        *("", "bytes", "bytes=", "bytes=1", "bytes=a-b", "bytes=0-1,4-5"),
        *(f"bytes=0-{DIGITS}", f"bytes={DIGITS}-", f"bytes=-{DIGITS}"),
    ],
)
def test_what_is_no_single_range_of_bytes_is_ignored(service: FastAPI, wanted: str) -> None:
    answer = ask(service, wanted)
    assert (answer.status_code, answer.content) == (200, VIDEO)


def test_a_range_of_an_earlier_file_is_ignored(service: FastAPI) -> None:
    whole = ask(service, "bytes=5-9")
    for same in (whole.headers["ETag"], whole.headers["Last-Modified"]):
        assert ask(service, "bytes=5-9", **{"If-Range": same}).content == VIDEO[5:10]
    for other in ('"other"', f"W/{whole.headers['ETag']}", "Mon, 01 Jan 2001 00:00:00 GMT"):
        assert ask(service, "bytes=5-9", **{"If-Range": other}).content == VIDEO


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("tags", ['"job-7"', '"other", "job-7"', ' W/"job-7" ,"other"', "*"])
def test_a_client_that_has_the_file_is_told_so(service: FastAPI, method: str, tags: str) -> None:
    answer = ask(service, "bytes=5-9", method, **{"If-None-Match": tags})
    assert (answer.status_code, answer.content) == (304, b"")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("tags", ["", '"other"', 'W/"other"', "job"])
def test_a_client_that_has_another_file_gets_this_one(service: FastAPI, tags: str) -> None:
    assert ask(service, "", **{"If-None-Match": tags}).content == VIDEO


LONG_AGO, FAR_AHEAD = "Mon, 01 Jan 2001 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_conditions_of_times_hold_where_none_of_tags_stands_beside(service: FastAPI, method: str) -> None:
    written = ask(service, "").headers["Last-Modified"]
    for since, status in [(written, 304), (FAR_AHEAD, 304), (LONG_AGO, 200), ("yesterday", 200)]:
        assert ask(service, "", method, **{"If-Modified-Since": since}).status_code == status
    for since, status in [(written, 200), (FAR_AHEAD, 200), (LONG_AGO, 412), ("yesterday", 200)]:
        assert ask(service, "", method, **{"If-Unmodified-Since": since}).status_code == status
    other = {"If-None-Match": '"other"', "If-Modified-Since": FAR_AHEAD}
    assert ask(service, "", method, **other).status_code == 200
    same = {"If-Match": '"job-7"', "If-Unmodified-Since": LONG_AGO}
    assert ask(service, "", method, **same).status_code == 200


@pytest.mark.parametrize(
    ("tags", "status"),
    [('"job-7"', 206), ('"other" , "job-7"', 206), ("*", 206), ('"other"', 412), ('W/"job-7"', 412)],
)
def test_a_client_that_wants_one_file_is_not_sent_another(service: FastAPI, tags: str, status: int) -> None:
    answer = ask(service, "bytes=5-9", **{"If-Match": tags})
    assert answer.status_code == status
    assert status == 412 or answer.content == VIDEO[5:10]


def test_only_get_knows_ranges_and_what_is_posted_is_answered_whatever_the_client_has(
    service: FastAPI,
) -> None:
    posted = ask(service, "bytes=5-9", "POST", **{"If-None-Match": '"job"'})
    assert (posted.status_code, posted.content) == (200, VIDEO)
    head = ask(service, "bytes=5-9", "HEAD")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(SIZE))
    assert "Content-Range" not in head.headers
