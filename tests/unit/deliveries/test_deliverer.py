"""Deliveries to a real server, of jobs whose records are made up."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from standardwebhooks import Webhook

from app.deliveries import sending
from app.deliveries.deliverer import Deliverer, Terms, said
from app.errors import AddressRefused, RenderProcessCrashed
from app.jobs.delivery import Delivery
from app.jobs.files import DataFolder
from app.jobs.job import Job, JobKind, JobState, NewJob, new_id, utc_now
from app.jobs.schema import open_database
from app.jobs.table import JobTable
from app.outside.allowance import Allowance
from tests.support.neighbour import Neighbour
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUICK = (0.01, 0.01, 0.02, 0.02, 0.03, 0.03)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def table(tmp_path: Path) -> Iterator[JobTable]:
    engine = open_database(tmp_path / "jobs.sqlite3")
    yield JobTable(engine)
    engine.dispose()


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    with Neighbour().open() as there:
        yield there


@pytest.fixture
def make(table: JobTable, tmp_path: Path, neighbour: Neighbour) -> Callable[..., Deliverer]:
    def make(**given: Any) -> Deliverer:
        allowed = Allowance.of({f"127.0.0.1:{neighbour.port}"})
        terms: dict[str, Any] = {"allowed": allowed, "secret": SECRET, "pauses": QUICK}
        return Deliverer(table, DataFolder(tmp_path), news_of, Terms(**terms | given))

    return make


def news_of(job: Job) -> dict[str, Any]:
    return said(f"job.{job.state}", {"id": job.id}, job.finished_at or utc_now())


@asynccontextmanager
async def working(deliverer: Deliverer) -> AsyncIterator[None]:
    task = asyncio.create_task(deliverer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def submitted(table: JobTable, deliveries: list[Delivery]) -> Job:
    return table.insert(NewJob(new_id(), JobKind.RENDER, "anna", deliveries=deliveries))


def ended(table: JobTable, job: Job, state: JobState = JobState.SUCCEEDED) -> Job:
    error = RenderProcessCrashed("It died.").problem() if state is JobState.FAILED else None
    table.save(replace(job, state=state, error=error, finished_at=utc_now()))
    return table.get(job.id)


def states(table: JobTable, job: Job) -> list[str]:
    return [each["state"] for each in table.get(job.id).deliveries]


async def settled(table: JobTable, job: Job) -> list[Delivery]:
    await until(lambda: "waiting" not in states(table, job))
    return table.get(job.id).deliveries


async def test_a_webhook_says_how_a_job_ended_signed_by_the_standard(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    deliverer = make()
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED):
        job = submitted(table, deliverer.planned(f"{neighbour.url}/hook", None))
        async with working(deliverer):
            await asyncio.sleep(0.05)
            assert neighbour.taken == [], "a job that has not ended has nothing to say"
            ended(table, job, state)
            deliverer.wake()
            (delivery,) = await settled(table, job)
        assert (delivery["state"], delivery["attempts"], delivery["status"]) == ("delivered", 1, 200)
        (taken,) = neighbour.taken
        told = Webhook(SECRET).verify(taken.body, taken.headers)
        assert told["type"] == f"job.{state}"
        assert told["data"] == {"id": job.id}
        assert told["timestamp"].endswith("Z")
        assert taken.headers["webhook-id"] == delivery["id"]
        neighbour.taken.clear()


async def test_a_receiver_that_fails_five_times_gets_the_same_message_until_it_takes_it(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    neighbour.answers["/hook"] = [500, 404, 302, 429, 503]
    deliverer = make()
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    async with working(deliverer):
        (delivery,) = await settled(table, job)
        await asyncio.sleep(0.2)
    assert [taken.status for taken in neighbour.taken] == [500, 404, 302, 429, 503, 200]
    assert len({(taken.body, taken.headers["webhook-id"]) for taken in neighbour.taken}) == 1
    assert (delivery["state"], delivery["attempts"], delivery["detail"]) == ("delivered", 6, None)
    for taken in neighbour.taken:
        Webhook(SECRET).verify(taken.body, taken.headers)


@pytest.mark.parametrize(
    ("asked", "seconds"), [("120", 120), ("999999", 3600), ("Mon, 01 Jan 2035", 0), ("-1", 0)]
)
async def test_a_receiver_that_asks_for_time_gets_it(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, asked: str, seconds: int
) -> None:
    neighbour.answers["/hook"], neighbour.retry_after = [503], asked
    deliverer = make(pauses=(10.0,))
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    async with working(deliverer):
        await until(lambda: table.get(job.id).deliveries[0]["attempts"])
    next_at = table.get(job.id).deliveries[0]["next_at"]
    assert next_at is not None
    left = (datetime.fromisoformat(next_at) - utc_now()).total_seconds()
    assert max(seconds, 10) - 9 < left < max(seconds, 11) + 1


async def test_a_receiver_that_is_gone_is_told_no_more(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    neighbour.answers["/hook"] = [410]
    deliverer = make()
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    async with working(deliverer):
        (delivery,) = await settled(table, job)
    assert (delivery["state"], delivery["status"], len(neighbour.taken)) == ("failed", 410, 1)
    assert delivery["detail"] == "The receiver answered 410."


async def test_a_receiver_that_never_takes_it_is_given_up_after_the_last_pause(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    neighbour.answers["/hook"] = [500] * 50
    deliverer = make(pauses=(0.01, 0.01))
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    async with working(deliverer):
        (delivery,) = await settled(table, job)
    assert (delivery["state"], delivery["attempts"], delivery["next_at"]) == ("failed", 3, None)


async def test_a_slow_receiver_is_tried_again_and_holds_nobody_up(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WEBHOOK_SECONDS", 0.2)
    deliverer = make(pauses=(60.0,))
    slow = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/slow", None)))
    quick = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/quick", None)))
    neighbour.pauses["/slow"] = 1.0
    async with working(deliverer):
        await settled(table, quick)
        await until(lambda: table.get(slow.id).deliveries[0]["attempts"])
    (delivery,) = table.get(slow.id).deliveries
    assert (delivery["state"], delivery["status"]) == ("waiting", None)
    assert delivery["detail"] == "It could not be sent: its host takes too long."
    assert delivery["next_at"] is not None


async def test_a_receiver_that_is_down_over_a_restart_gets_it_once(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    away = Neighbour()
    allowed = {"allowed": Allowance.of({f"127.0.0.1:{away.port}"}), "pauses": (0.05,) * 100}
    first = make(**allowed)
    job = ended(table, submitted(table, first.planned(f"{away.url}/hook", None)))
    async with working(first):
        await until(lambda: table.get(job.id).deliveries[0]["attempts"] >= 2)
    (delivery,) = table.get(job.id).deliveries
    assert delivery["detail"] == "It could not be sent: its host cannot be connected to."
    with away.open():
        async with working(make(**allowed)):
            await settled(table, job)
        async with working(make(**allowed)):
            await asyncio.sleep(0.2)
    assert len(away.taken) == 1


async def test_what_was_taken_is_not_sent_again_when_it_cannot_be_written_down_at_once(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, failures = table.note_deliveries, [1, 2]

    def full(job_id: str, deliveries: list[Delivery]) -> None:
        if failures:
            failures.pop()
            raise OperationalError("update", {}, Exception("disk full"))
        note(job_id, deliveries)

    monkeypatch.setattr(table, "note_deliveries", full)
    monkeypatch.setattr("app.deliveries.deliverer.RETRY_SECONDS", 0.05)
    deliverer = make()
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    async with working(deliverer):
        await settled(table, job)
    assert len(neighbour.taken) == 1


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
    job = submitted(table, deliverer.planned(None, f"{neighbour.url}/bucket"))
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


async def test_nothing_is_sent_where_it_may_not_go(make: Callable[..., Deliverer]) -> None:
    for url in ("http://169.254.169.254/", "http://127.0.0.1:1/", "file:///etc/passwd", "http://u:p@a.b/"):
        with pytest.raises(AddressRefused):
            make().planned(url, None)
        with pytest.raises(AddressRefused):
            make().planned(None, url)
    with pytest.raises(AddressRefused, match="MOUTHPIECE_FETCH"):
        make(allowed=Allowance()).planned("https://example.org/", None)


async def test_the_services_own_address_may_be_anywhere_and_is_where_news_go_by_default(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    deliverer = make(allowed=Allowance(), own_url=f"{neighbour.url}/own", secret=None)
    job = ended(table, submitted(table, deliverer.planned(None, None)))
    async with working(deliverer):
        await settled(table, job)
    (taken,) = neighbour.taken
    assert taken.path == "/own"
    assert "webhook-signature" not in taken.headers
    assert json.loads(taken.body)["type"] == "job.succeeded"


def test_a_job_with_something_to_send_does_not_expire(
    table: JobTable, make: Callable[..., Deliverer]
) -> None:
    planned = make(own_url="http://127.0.0.1/").planned(None, None)
    waiting = ended(table, submitted(table, planned))
    done = ended(table, submitted(table, []))
    later = utc_now() + timedelta(days=9)
    assert [job.id for job in table.expire(later)] == [done.id]
    table.note_deliveries(waiting.id, [{**planned[0], "state": "delivered"}])
    assert [job.id for job in table.expire(later)] == [waiting.id]
