"""Results that are sent to an address: what is sent, when, and what comes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.deliveries.deliverer import Deliverer
from app.errors import Unavailable
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobState
from app.jobs.table import JobTable
from tests.support.neighbour import Neighbour
from tests.support.waiting import DEADLINE, until
from tests.unit.deliveries.delivering import ended, settled, submitted, working

pytestmark = pytest.mark.anyio


def with_result(tmp_path: Path, job: Job, content: bytes = b"film" * 100_000) -> bytes:
    path = DataFolder(tmp_path).workspace(job.id).result
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return content


async def test_the_file_is_put_before_the_news_of_it_goes_out(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, tmp_path: Path
) -> None:
    neighbour.answers["/bucket/talk.mp4?signature=s3cret"] = [500, 503]
    deliverer = make()
    urls = f"{neighbour.url}/hook", f"{neighbour.url}/bucket/talk.mp4?signature=s3cret"
    job = submitted(table, deliverer.planned(*urls))
    content = with_result(tmp_path, job)
    ended(table, job)
    async with working(deliverer):
        await settled(table, job)
    assert [(taken.method, taken.status) for taken in neighbour.taken] == [
        ("PUT", 500),
        ("PUT", 503),
        ("PUT", 200),
        ("POST", 200),
    ]
    put = neighbour.taken[2]
    assert put.body == content
    assert put.headers["content-type"] == "video/mp4"
    assert "transfer-encoding" not in put.headers


async def test_a_file_is_sent_as_what_it_is(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, tmp_path: Path
) -> None:
    deliverer = make()
    job = submitted(table, deliverer.planned(None, f"{neighbour.url}/bucket"), format="webm")
    path = DataFolder(tmp_path).workspace(job.id).result_of("webm")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"film")
    ended(table, job)
    async with working(deliverer):
        await settled(table, job)
    (put,) = neighbour.taken
    assert (put.headers["content-type"], put.body) == ("video/webm", b"film")


@pytest.mark.parametrize("status", [400, 403, 404, 413])
async def test_an_address_that_has_expired_is_not_tried_again_and_the_news_goes_out(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, tmp_path: Path, status: int
) -> None:
    neighbour.answers["/bucket"] = [status]
    deliverer = make()
    job = submitted(table, deliverer.planned(f"{neighbour.url}/hook", f"{neighbour.url}/bucket"))
    with_result(tmp_path, job)
    ended(table, job)
    async with working(deliverer):
        result, webhook = await settled(table, job)
    assert (result["state"], result["status"], webhook["state"]) == ("failed", status, "delivered")


async def test_a_redirect_keeps_the_file_and_is_checked_again(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, tmp_path: Path
) -> None:
    neighbour.redirects["/bucket"] = f"{neighbour.url}/there"
    neighbour.redirects["/trap"] = "http://169.254.169.254/latest"
    deliverer = make(pauses=())
    outcomes = []
    for path in ("/bucket", "/trap"):
        job = submitted(table, deliverer.planned(None, f"{neighbour.url}{path}"))
        content = with_result(tmp_path, job)
        ended(table, job)
        async with working(deliverer):
            outcomes += await settled(table, job)
    assert [each["state"] for each in outcomes] == ["delivered", "failed"]
    assert "MOUTHPIECE_FETCH" in (outcomes[1]["detail"] or "")
    assert [taken.body for taken in neighbour.taken if taken.path == "/there"] == [content]


async def test_a_job_without_a_file_has_none_to_put(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    deliverer = make()
    job = submitted(table, deliverer.planned(None, f"{neighbour.url}/bucket"))
    ended(table, job, JobState.CANCELED)
    async with working(deliverer):
        (result,) = await settled(table, job)
    assert (result["state"], result["detail"]) == ("failed", "The job has made no file.")
    assert neighbour.taken == []


async def test_a_volume_that_does_not_respond_costs_no_attempts(
    make: Callable[..., Deliverer],
    table: JobTable,
    neighbour: Neighbour,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.deliveries.deliverer.RETRY_SECONDS", 0.01)
    deliverer = make(pauses=(0.01,))
    job = submitted(table, deliverer.planned(None, f"{neighbour.url}/bucket"))
    with_result(tmp_path, job)
    ended(table, job)
    in_vain: list[Callable[..., object]] = []

    async def hang(read: Callable[..., object], *values: object) -> object:
        if len(in_vain) < 5:
            in_vain.append(read)
            raise Unavailable("The data volume does not respond.")
        return read(*values)

    monkeypatch.setattr("app.deliveries.sending.on_results", hang)
    async with working(deliverer):
        (result,) = await settled(table, job)
    assert (len(in_vain), result["state"], result["attempts"]) == (5, "delivered", 1)


async def test_the_file_of_a_delivery_that_is_given_up_is_closed(
    make: Callable[..., Deliverer],
    table: JobTable,
    neighbour: Neighbour,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Any] = []
    ask = Path.open

    def noted(path: Path, *values: Any, **named: Any) -> Any:
        file = ask(path, *values, **named)
        if path.suffix == ".mp4":
            opened.append(file)
        return file

    deliverer = make()
    job = submitted(table, deliverer.planned(None, f"{neighbour.url}/slow"))
    with_result(tmp_path, job, bytes(32 << 20))
    ended(table, job)
    neighbour.pauses["/slow"] = DEADLINE
    monkeypatch.setattr(Path, "open", noted)
    async with working(deliverer):
        await until(lambda: bool(opened))
    assert all(file.closed for file in opened)


@pytest.mark.parametrize(("pauses", "more"), [((0.01, 3600.0, 7200.0), 1), ((3600.0, 7200.0), 1), ((), 0)])
async def test_a_file_is_tried_again_though_all_pauses_are_long(
    make: Callable[..., Deliverer],
    table: JobTable,
    neighbour: Neighbour,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pauses: tuple[float, ...],
    more: int,
) -> None:
    monkeypatch.setattr("app.deliveries.deliverer.RESULT_PAUSE", 0.02)
    neighbour.answers["/bucket"] = [503] * 9
    deliverer = make(pauses=pauses)
    job = submitted(table, deliverer.planned(None, f"{neighbour.url}/bucket"))
    with_result(tmp_path, job)
    ended(table, job)
    async with working(deliverer):
        (delivery,) = await settled(table, job)
    assert (delivery["state"], delivery["attempts"]) == ("failed", 1 + more)
