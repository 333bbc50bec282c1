"""Deliveries to a real server, of jobs whose records are made up."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from standardwebhooks import Webhook

from app.deliveries import sending
from app.deliveries.deliverer import AT_A_TIME, Deliverer
from app.errors import AddressRefused
from app.jobs.files import DataFolder
from app.jobs.job import Delivery, DeliveryKind, Job, JobKind, JobState, NewJob, utc_now
from app.jobs.table import JobTable
from app.outside.allowance import Allowance
from tests.support.neighbour import Neighbour
from tests.support.waiting import DEADLINE, until
from tests.unit.deliveries.delivering import (
    SECRET,
    ended,
    settled,
    submitted,
    working,
)

pytestmark = pytest.mark.anyio


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


async def test_news_are_brought_at_once_though_the_clock_was_set_back(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliverer = make()
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    before = utc_now() - timedelta(hours=1)
    monkeypatch.setattr("app.deliveries.deliverer.utc_now", lambda: before)
    async with working(deliverer):
        await settled(table, job)
    assert neighbour.paths("POST") == ["/hook"]


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
    deliverer = make(pauses=(60.0,))
    slow = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/slow", None)))
    quick = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/quick", None)))
    neighbour.pauses["/slow"] = 2 * DEADLINE
    monkeypatch.setattr(sending, "WEBHOOK_SECONDS", 2 * DEADLINE)
    async with working(deliverer):
        await settled(table, quick)
    monkeypatch.setattr(sending, "WEBHOOK_SECONDS", 0.2)  # only now: on a busy machine, nobody is as quick
    async with working(deliverer):
        await until(lambda: table.get(slow.id).deliveries[0]["attempts"])
    (delivery,) = table.get(slow.id).deliveries
    assert (delivery["state"], delivery["status"]) == ("waiting", None)
    assert delivery["detail"] == "It could not be sent: its host takes too long."
    assert delivery["next_at"] is not None


async def test_slow_receivers_of_one_key_hold_up_no_other(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    deliverer = make()
    for _ in range(40):
        ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/slow", None), "one"))
    quick = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/quick", None), "other"))
    neighbour.pauses["/slow"] = DEADLINE
    async with working(deliverer):
        await settled(table, quick)
        await until(lambda: len(deliverer._under_way) == AT_A_TIME[DeliveryKind.WEBHOOK] // 2)
    assert neighbour.paths("POST") == ["/quick"]


@pytest.mark.parametrize("url", ["http://a[b/", "http://xn--/", "http://[::1"])
async def test_an_address_that_is_hardly_one_holds_up_no_other(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, url: str
) -> None:
    """Earlier versions let in more of them than this one."""
    host = ("127.0.0.1", neighbour.port)
    deliverer = make(allowed=Allowance(public=True, hosts=frozenset({host})), pauses=())
    planned = deliverer.planned("http://a[b/", None)
    odd = ended(table, submitted(table, [{**each, "url": url} for each in planned]))
    fine = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    async with working(deliverer):
        await settled(table, fine)
        (delivery,) = await settled(table, odd)
    assert (delivery["state"], neighbour.paths("POST")) == ("failed", ["/hook"])


async def test_more_than_are_looked_at_for_one_dead_host_hold_up_no_other(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.deliveries.deliverer.LOOKED_AT", 5)
    deliverer = make()
    for _ in range(20):
        ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/slow", None), "one"))
    quick = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/quick", None), "other"))
    neighbour.pauses["/slow"] = DEADLINE
    async with working(deliverer):
        await settled(table, quick)


async def test_a_host_that_takes_one_after_the_other_holds_up_no_other(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(job: Job, message: Delivery) -> sending.Outcome:
        if job.id == other.id:
            begun.set()
            await asyncio.Event().wait()
        await takes.acquire()
        taken.append(job.id)
        return sending.Outcome(True)

    def look(*given: Any) -> list[Job]:
        found = due(*given)
        looks.append(len(found))
        return found

    deliverer, takes, taken, begun = make(), asyncio.Semaphore(0), list[str](), asyncio.Event()
    due, looks = table.due, list[int]()
    monkeypatch.setattr("app.deliveries.deliverer.LOOKED_AT", 5)
    monkeypatch.setattr("app.deliveries.deliverer.LOOK_SECONDS", DEADLINE)  # but whenever one is taken
    monkeypatch.setattr(table, "due", look)
    monkeypatch.setattr(deliverer, "_attempt", attempt)
    for _ in range(40):
        ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/slow", None), "one"))
    other = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/quick", None), "other"))
    async with working(deliverer):
        for number in range(20):
            await until(lambda: len(looks) > number and not deliverer._wake.is_set())  # noqa: B023
            takes.release()
            await until(lambda: len(taken) > number and taken[-1] not in deliverer._under_way)  # noqa: B023
        assert begun.is_set()


async def test_a_job_that_replaces_one_of_its_id_meanwhile_keeps_its_own_deliveries(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(job: Job, message: Delivery) -> sending.Outcome:
        table.delete_finished(job.id)
        table.insert(new)
        return sending.Outcome(True)

    deliverer = make()
    monkeypatch.setattr(deliverer, "_attempt", attempt)
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/old", None)))
    planned = deliverer.planned(f"{neighbour.url}/new", None)
    new = NewJob(job.id, JobKind.RENDER, "anna", deliveries=planned)
    await deliverer._deliver(job)
    assert table.get(job.id).deliveries == planned


async def test_nothing_is_told_of_a_job_that_replaces_one_whose_end_was_to_be_told_before_it_ends(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = table.get

    def get_next(job_id: str) -> Job:
        if get(job_id).number == job.number:
            table.insert(new, replaces=True)
        return get(job_id)

    deliverer = make()
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/old", None)))
    new = NewJob(job.id, JobKind.RENDER, "anna", deliveries=deliverer.planned(f"{neighbour.url}/new", None))
    monkeypatch.setattr(table, "get", get_next)
    async with working(deliverer):
        await until(lambda: get(job.id).number > job.number and not deliverer._under_way)
        await asyncio.sleep(0.1)
    assert neighbour.taken == []
    assert get(job.id).deliveries == new.deliveries


async def test_whom_nothing_is_sent_to_any_more_is_forgotten(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour
) -> None:
    deliverer = make()
    for number in range(3):
        ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None), f"key {number}"))
    async with working(deliverer):
        await until(lambda: len(neighbour.taken) == 3 and not deliverer._under_way)
        assert not deliverer._turns


async def test_slow_receivers_of_files_hold_up_no_webhook(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, tmp_path: Path
) -> None:
    deliverer = make()
    for number in range(20):
        sent = deliverer.planned(None, f"{neighbour.url}/slow")
        job = ended(table, submitted(table, sent, f"key {number}"))
        path = DataFolder(tmp_path).result(job)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"film")
    quick = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/quick", None), "key 0"))
    neighbour.pauses["/slow"] = DEADLINE
    async with working(deliverer):
        await settled(table, quick)
    assert neighbour.paths("POST") == ["/quick"]


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

    def full(job: Job, deliveries: list[Delivery]) -> None:
        if failures:
            failures.pop()
            raise OperationalError("update", {}, Exception("disk full"))
        note(job, deliveries)

    monkeypatch.setattr(table, "note_deliveries", full)
    monkeypatch.setattr("app.jobs.records.RETRY_SECONDS", 0.05)
    deliverer = make()
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    async with working(deliverer):
        await settled(table, job)
    assert len(neighbour.taken) == 1


async def test_a_job_that_cannot_be_read_is_not_asked_for_all_the_time(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, asked = table.get, list[str]()

    def fail(job_id: str) -> Job:
        if job_id == odd.id:
            asked.append(job_id)
            raise RuntimeError("a bug")
        return get(job_id)

    monkeypatch.setattr("app.deliveries.deliverer.RETRY_SECONDS", DEADLINE)
    deliverer = make()
    odd = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/odd", None)))
    fine = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/fine", None)))
    monkeypatch.setattr(table, "get", fail)
    async with working(deliverer):
        await settled(table, fine)
        await asyncio.sleep(0.1)
    assert asked == [odd.id]


async def test_a_delivery_that_ends_while_the_table_is_read_is_not_made_again(
    make: Callable[..., Deliverer], table: JobTable, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = table.due

    def due_before(now: datetime, limit: int, offset: int) -> list[Job]:
        found = due(now, limit, offset)
        if deliverer._under_way:
            go_on.set()
            time.sleep(0.2)
        return found

    async def attempt(job: Job, message: Delivery) -> sending.Outcome:
        deliverer.wake()
        await asyncio.to_thread(go_on.wait)
        attempts.append(job.id)
        return sending.Outcome(True)

    deliverer, go_on, attempts = make(), threading.Event(), list[str]()
    monkeypatch.setattr(table, "due", due_before)
    monkeypatch.setattr(deliverer, "_attempt", attempt)
    job = ended(table, submitted(table, deliverer.planned(f"{neighbour.url}/hook", None)))
    async with working(deliverer):
        await settled(table, job)
        await asyncio.sleep(0.4)
    assert attempts == [job.id]


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
    assert table.expire(later) == [done.id]
    table.note_deliveries(waiting, [{**planned[0], "state": "delivered"}])
    assert table.expire(later) == [waiting.id]
