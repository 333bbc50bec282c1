"""Videos that are sent from a volume which is slow, or hangs, or loses them."""

import asyncio
import json
import os
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, get_ident
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from anyio import to_thread
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Message
from structlog.testing import capture_logs

from app.api.compat import fal_result
from app.api.fragment_readers import FragmentReaders
from app.api.problems import install_handlers
from app.api.sent_file import SentFile
from app.api.submission import wait_while_connected
from app.api.videos import finished_video, unfinished_video
from app.errors import JobNotFound, NotFound
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, JobState
from app.notices import NoticeCode, notice
from app.rendering.workspace import Workspace
from tests.support.oddities import put_odd
from tests.support.waiting import DEADLINE, until

pytestmark = pytest.mark.anyio

RUNNING = Job("job", JobKind.RENDER, "anna", {"format": "mp4"}, state=JobState.RUNNING)
DONE = Job("job", JobKind.RENDER, "anna", {"format": "mp4"}, state=JobState.SUCCEEDED, revision=1)
BIG = bytes(range(256)) * 1024


async def nothing_more() -> Message:
    await asyncio.Event().wait()
    return {}


THERE = Request({"type": "http"}, nothing_more)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def services(tmp_path: Path) -> Any:
    """What stands behind a video: a folder with two fragments, and the news that the job is done."""
    files = DataFolder(tmp_path)
    workspace = files.workspace(DONE.id)
    workspace.segments.mkdir(parents=True)
    workspace.init.write_bytes(b"init")
    workspace.fragment(0).write_bytes(b"zero")
    workspace.fragment(1).write_bytes(BIG)
    files.result(DONE).write_bytes(b"finished")

    async def follow(job_id: str) -> AsyncGenerator[Job, None]:
        yield RUNNING
        yield DONE

    scheduler = SimpleNamespace(follow=follow, is_prepared=lambda job_id: True)
    return SimpleNamespace(files=files, scheduler=scheduler, readers=FragmentReaders())


async def sent(response: Response, hear: Callable[[Message], None] = lambda _: None) -> list[bytes]:
    """Return what a response sends to a client that stays."""
    pieces: list[bytes] = []

    async def send(message: Message) -> None:
        pieces.append(message.get("body", b""))
        hear(message)

    await response({"type": "http", "method": "GET", "headers": []}, nothing_more, send)
    return pieces


@pytest.fixture
async def client(services: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_handlers(app)

    @app.get("/video")
    async def video() -> Response:
        return finished_video(services, DONE, {})

    @app.get("/report")
    async def report() -> Response:
        path = services.files.workspace(DONE.id).report
        return SentFile(path, media_type="text/plain", gone=NotFound("It has gone."), headers={})

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        yield client


async def test_downloads_from_a_volume_that_hangs_leave_threads_to_everything_else(
    services: Any, client: httpx.AsyncClient
) -> None:
    path = services.files.result(DONE)
    path.unlink()
    os.mkfifo(path)  # to open it takes until somebody writes to it
    downloads = [asyncio.create_task(client.get("/video")) for _ in range(60)]
    try:
        await asyncio.sleep(0.2)  # they arrive
        assert await asyncio.wait_for(to_thread.run_sync(lambda: "there"), DEADLINE / 4) == "there"
    finally:
        writer = os.open(path, os.O_RDWR)
        os.set_blocking(writer, False)
        answers = await asyncio.gather(*downloads)
        os.close(writer)
    assert {answer.status_code for answer in answers} == {200}


async def test_a_file_that_has_gone_is_a_problem_and_no_half_answer(
    services: Any, client: httpx.AsyncClient
) -> None:
    services.files.forget(DONE.id)
    for path in ("/video", "/report"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["status"]) == (404, 404)


async def test_a_folder_in_the_place_of_a_file_that_is_sent_is_a_problem(
    services: Any, client: httpx.AsyncClient
) -> None:
    workspace = services.files.workspace(DONE.id)
    for address, path, code in (
        ("/video", workspace.result, "job-not-found"),
        ("/report", workspace.report, "not-found"),
    ):
        for oddity in ("folder", "loop"):
            put_odd(path, oddity)
            answer = await client.get(address)
            assert (answer.status_code, answer.json()["type"]) == (404, f"urn:mouthpiece:problem:{code}")


async def test_a_stream_with_a_folder_in_the_place_of_a_fragment_is_cut(services: Any) -> None:
    put_odd(services.files.workspace(DONE.id).fragment(1), "folder")
    response = await unfinished_video(THERE, services, RUNNING)
    with capture_logs() as logs:
        assert await sent(response) == [b"", b"init", b"zero"]
    assert [said["event"] for said in logs] == ["stream_cut"]


async def test_a_fragment_is_sent_in_pieces_and_no_look_at_the_volume_is_taken_on_the_event_loop(
    services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = get_ident()

    def off_the_loop(real: Any) -> Any:
        def called(*given: Any, **named: Any) -> Any:
            assert get_ident() != loop
            return real(*given, **named)

        return called

    for name in ("stat", "lstat", "open", "unlink", "scandir", "rmdir"):
        monkeypatch.setattr(os, name, off_the_loop(getattr(os, name)))
    pieces = await sent(await unfinished_video(THERE, services, RUNNING))
    assert b"".join(pieces) == b"initzero" + BIG
    assert max(map(len, pieces)) <= 64 << 10
    await sent(finished_video(services, DONE, {}))
    monkeypatch.undo()
    assert not services.files.workspace(DONE.id).segments.exists()


async def test_a_job_that_goes_on_after_a_restart_is_streamed_once_its_fragments_are_known_to_be_its_own(
    services: Any,
) -> None:
    looked_at = False
    services.scheduler.is_prepared = lambda job_id: looked_at

    async def follow(job_id: str) -> AsyncGenerator[Job, None]:
        nonlocal looked_at
        yield replace(RUNNING, state=JobState.QUEUED)
        yield RUNNING
        files.fragment(0).write_bytes(b"mine")
        looked_at = True
        yield RUNNING
        looked_at = False  # it has ended
        yield DONE

    files = services.files.workspace(RUNNING.id)
    services.scheduler.follow = follow
    pieces = await sent(await unfinished_video(THERE, services, RUNNING))
    assert b"".join(pieces) == b"initmine" + BIG


async def test_a_stream_whose_fragments_cannot_be_deleted_is_whole_and_the_log_says_so(
    services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any, **_: Any) -> None:
        raise PermissionError("It may not.")

    video = await unfinished_video(THERE, services, RUNNING)
    monkeypatch.setattr(os, "unlink", refuse)
    with capture_logs() as logs:
        assert b"".join(await sent(video)) == b"initzero" + BIG
    assert logs == [
        {"event": "files_not_deleted", "job": DONE.id, "error": "It may not.", "log_level": "error"}
    ]
    assert services.readers.may_read(services.files.workspace(DONE.id))


async def test_who_comes_while_fragments_are_deleted_gets_the_finished_video(
    services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, began = Event(), Event()

    def slowly(workspace: Workspace, *, keep_fragments: bool) -> None:
        began.set()
        assert goes_on.wait(DEADLINE)

    monkeypatch.setattr(Workspace, "clear_scratch", slowly)
    first = asyncio.create_task(sent(await unfinished_video(THERE, services, RUNNING)))
    try:
        await until(began.is_set)
        late = await asyncio.wait_for(unfinished_video(THERE, services, DONE), DEADLINE / 4)
    finally:
        goes_on.set()
    assert b"".join(await first) == b"initzero" + BIG
    assert b"".join(await sent(late)) == b"finished"


async def test_who_waits_for_a_job_is_let_go_with_the_connection(services: Any) -> None:
    followed: list[str] = []

    async def follow(job_id: str) -> AsyncGenerator[Job, None]:
        followed.append("begun")
        try:
            yield replace(RUNNING, state=JobState.QUEUED)
            await asyncio.Event().wait()
        finally:
            followed.append("left")

    async def hang_up() -> Message:
        await until(lambda: followed[-1:] == ["begun"])
        return {"type": "http.disconnect"}

    services.scheduler.follow = follow
    services.files.forget(RUNNING.id)
    for wait in (wait_while_connected, unfinished_video):
        with pytest.raises(ClientDisconnect):
            await asyncio.wait_for(wait(Request({"type": "http"}, hang_up), services, RUNNING), DEADLINE)
    assert followed == ["begun", "left"] * 2
    assert not services.readers._counts


@pytest.mark.parametrize("size", [0, 1, 48 << 10, (48 << 10) + 1, 200_000])
async def test_a_video_inside_an_answer_is_sent_in_pieces(services: Any, size: int) -> None:
    services.files.result(DONE).write_bytes(BIG[:size])
    warned = [notice(NoticeCode.UNKNOWN_FIELDS, "<file> means nothing.")]
    params = {"compat": {"api": "fal", "shown": {"inline": True}}}
    answer = await fal_result.answer_of(services, replace(DONE, params=params, warnings=warned))
    pieces = await sent(answer)
    body = b"".join(pieces)
    url = json.loads(body)["video"]["url"]
    assert url.startswith("data:video/mp4;base64,")
    assert b64decode(url.partition(",")[2], validate=True) == BIG[:size]
    assert json.loads(body)["warnings"] == ["<file> means nothing."]
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["content-type"] == "application/json"
    assert max(map(len, pieces)) <= 64 << 10


async def test_a_video_that_is_to_come_inside_an_answer_and_has_gone_is_not_found(services: Any) -> None:
    params = {"compat": {"api": "fal", "shown": {"inline": True}}}
    answer = await fal_result.answer_of(services, replace(DONE, params=params))
    services.files.forget(DONE.id)
    with pytest.raises(JobNotFound):
        await sent(answer)


async def test_a_stream_whose_job_is_deleted_meanwhile_is_no_whole_video(services: Any) -> None:
    messages: list[Message] = []

    def hear(message: Message) -> None:
        messages.append(message)
        if message.get("body") == b"zero":
            services.files.forget(DONE.id)

    await sent(await unfinished_video(THERE, services, RUNNING), hear)
    assert [message.get("body") for message in messages] == [None, b"init", b"zero"]
    assert messages[-1]["more_body"]
