"""Delivers what is due, and tries again what failed, with growing pauses; the job table remembers all of it.

A delivery is written down with its job, before there is anything to send, and becomes due by the job's end:
so no crash loses one. What a receiver took is written down before anything else is done.
"""

import asyncio
import json
import random
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog

from app.deliveries import webhook
from app.deliveries.sending import Outcome, Sender
from app.errors import AddressRefused, JobNotFound, Unavailable
from app.jobs.files import DataFolder
from app.jobs.forever import forever
from app.jobs.job import (
    Delivery,
    DeliveryKind,
    DeliveryState,
    Job,
    JobState,
    format_of,
    next_waiting,
    utc_now,
)
from app.jobs.records import RETRY_SECONDS, Records
from app.media.formats import MEDIA_TYPES
from app.outside.allowance import Allowance, read_url
from app.outside.reach import Resolve, system_resolve
from app.threads import on_table
from app.tracing import about

log = structlog.stdlib.get_logger(__name__)

AT_A_TIME: Final[Mapping[str, int]] = {DeliveryKind.RESULT: 8, DeliveryKind.WEBHOOK: 16}
"""How many deliveries of a kind are in progress at a time; at most half of them are for one key, or for one
host where no keys are asked for: slow receivers hold up no others."""
LOOKED_AT: Final = 200
"""Among how many deliveries that are due those are looked for at a time that have a turn; the next look is at
as many after them, however many of these were begun: one slow host's would be all that is ever looked at."""
LOOK_SECONDS: Final = 1.0
"""How often the table is looked at, besides whenever a job or a delivery ends."""
RESULT_PAUSE: Final = 1800.0
"""Seconds; a file is not tried again after a longer pause: its address seldom lives for hours. Where
all pauses are longer, it is tried again once, after this one."""
SPREAD: Final = 0.1
"""A pause is made longer by chance, by up to this share: what failed together shall not come together."""

Turn = tuple[str, ...]
"""A kind of delivery, and perhaps for whom."""

Describe = Callable[[Job], Mapping[str, Any]]
"""Returns what a webhook says of a job that has ended: all of its body, as JSON."""


@dataclass(frozen=True)
class Terms:
    """How things are delivered."""

    allowed: Allowance
    """Whom callers may have reached."""
    own_url: str | None = None
    """Where news of jobs go whose callers name no address; may be anywhere."""
    secret: str | None = None
    """What webhooks are signed with."""
    pauses: Sequence[float] = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0)
    """Seconds between the attempts; after the last one a delivery is given up."""
    seconds: float = 300.0
    """How long the sending of a file may take."""
    resolve: Resolve = system_resolve


def delivery(kind: DeliveryKind, url: str) -> Delivery:
    """Return a delivery that waits for the end of its job."""
    return Delivery(
        id=f"msg_{secrets.token_hex(12)}",
        kind=kind.value,
        url=url,
        state=DeliveryState.WAITING.value,
        attempts=0,
        status=None,
        detail=None,
        next_at=None,
        delivered_at=None,
    )


class Deliverer:
    """See the module."""

    def __init__(
        self,
        records: Records,
        files: DataFolder,
        describe: Describe,
        terms: Terms,
        on_outcome: Callable[[str, str], None] = lambda kind, state: None,
    ) -> None:
        """``on_outcome`` hears of each delivery that ends, by kind and state."""
        self._records = records
        self._table = records.table
        self._files = files
        self._describe = describe
        self._terms = terms
        self._on_outcome = on_outcome
        self._wake = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._passed_over = 0
        """How many that are due were looked at; the next look is at those after them."""
        self._turns: Counter[Turn] = Counter()
        """How many of a kind are in progress, and how many of them for whom."""

    def check(self, url: str) -> None:
        """Raise ``AddressRefused`` for an address to which nothing may be sent, as far as its text says."""
        self._allowance(url).check(read_url(url))

    def wake(self) -> None:
        """Have the table looked at now: a job has ended."""
        self._wake.set()

    async def test(self, url: str) -> Outcome:
        """Send a webhook that says nothing, once."""
        message = delivery(DeliveryKind.WEBHOOK, url)
        news = webhook.body("webhook.test", {"message": "This is a test."}, utc_now())
        return await self._post(message, news)

    def planned(self, webhook_url: str | None, result_url: str | None) -> list[Delivery]:
        """Return what is to be delivered of a new job. Raises ``AddressRefused``."""
        wanted = {DeliveryKind.RESULT: result_url, DeliveryKind.WEBHOOK: webhook_url or self._terms.own_url}
        for url in wanted.values():
            if url is not None:
                self.check(url)
        return [delivery(kind, url) for kind, url in wanted.items() if url is not None]

    async def run(self) -> None:
        """Deliver until canceled; what is in progress then is tried again at the next start."""
        try:
            await forever("deliveries", self._look)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _look(self) -> None:
        """Begin what is due, and wait for news or a while."""
        self._wake.clear()
        await self._begin_due()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()

    async def _begin_due(self) -> None:
        before = set(self._under_way)  # what ends meanwhile may be read as it stood before
        found = await on_table(self._table.due, utc_now(), LOOKED_AT, self._passed_over)
        self._passed_over = self._passed_over + LOOKED_AT if len(found) == LOOKED_AT else 0
        for job in found:
            if job.id not in before:
                self._begin(job)

    def _begin(self, job: Job) -> None:
        """Make the next delivery of a job, if it has a turn."""
        whole, own = turns = _turns_of(job)
        most = AT_A_TIME[whole[0]]
        if self._turns[whole] < most and self._turns[own] < most // 2:
            self._turns.update(turns)
            self._under_way[job.id] = asyncio.create_task(self._see_to(job, turns))

    async def _see_to(self, due: Job, turns: tuple[Turn, Turn]) -> None:
        try:
            job = await on_table(self._table.get, due.id)
            if job.number == due.number:  # else it was replaced meanwhile
                await self._deliver(job)
        except JobNotFound:  # deleted meanwhile
            pass
        except Exception as error:
            foreseen = isinstance(error, Unavailable)
            log.error("delivery_broke", exc_info=None if foreseen else error, error=str(error), job=due.id)
            await asyncio.sleep(RETRY_SECONDS)  # it is due at once, again
        finally:
            self._turns -= Counter(turns)  # what has none left is forgotten
            del self._under_way[due.id]
            self._wake.set()

    async def _deliver(self, job: Job) -> None:
        """Make one attempt of a job's delivery."""
        message = next_waiting(job.deliveries)
        assert message is not None, "a job without anything to send is not due"
        outcome = await self._attempt(job, message)
        noted = self._noted(message, outcome)
        deliveries = [noted if each is message else each for each in job.deliveries]
        await self._records.write(lambda: self._table.note_deliveries(job, deliveries))
        log.info(
            "delivery_attempted",
            **about(job.id, job.traceparent),
            kind=message["kind"],
            host=_host(message["url"]),
            state=noted["state"],
            attempt=noted["attempts"],
            status=outcome.status,
            detail=outcome.detail,
        )
        if noted["state"] != DeliveryState.WAITING:
            self._on_outcome(noted["kind"], noted["state"])

    async def _attempt(self, job: Job, message: Delivery) -> Outcome:
        try:
            return await self._send(job, message)
        except Unavailable:  # the volume does not respond: no fault of the receiver's
            raise
        except Exception as error:
            log.exception("delivery_broke", exc_info=error, **about(job.id, job.traceparent))
            return Outcome(False, detail="It failed unexpectedly; the service's log says why.")

    async def _send(self, job: Job, message: Delivery) -> Outcome:
        if message["kind"] == DeliveryKind.WEBHOOK:
            return await self._post(message, self._describe(job))
        if job.state is not JobState.SUCCEEDED:
            return Outcome(False, detail="The job has made no file.", final=True)
        url, path = message["url"], self._files.result(job)
        return await self._sender(url).put(url, path, MEDIA_TYPES[format_of(job.params)])

    async def _post(self, message: Delivery, news: Mapping[str, Any]) -> Outcome:
        body = json.dumps(news, ensure_ascii=False, separators=(",", ":")).encode()
        signed = webhook.headers(message["id"], utc_now(), body, self._terms.secret)
        return await self._sender(message["url"]).post(message["url"], body, signed)

    def _noted(self, message: Delivery, outcome: Outcome) -> Delivery:
        """Return a delivery as it stands after an attempt."""
        now, attempts = utc_now(), message["attempts"] + 1
        changed: Delivery = {
            **message,
            "attempts": attempts,
            "status": outcome.status,
            "detail": outcome.detail,
            "next_at": None,
        }
        pauses = list(self._terms.pauses)
        if message["kind"] == DeliveryKind.RESULT and pauses:
            pauses = [pause for pause in pauses if pause <= RESULT_PAUSE] or [RESULT_PAUSE]
        if outcome.done:
            return {**changed, "state": DeliveryState.DELIVERED.value, "delivered_at": now.isoformat()}
        if outcome.final or attempts > len(pauses):
            return {**changed, "state": DeliveryState.FAILED.value}
        pause = max(pauses[attempts - 1] * random.uniform(1, 1 + SPREAD), outcome.again_after)
        return {**changed, "next_at": (now + timedelta(seconds=pause)).isoformat()}

    def _allowance(self, url: str) -> Allowance:
        return Allowance.for_url(url) if url == self._terms.own_url else self._terms.allowed

    def _sender(self, url: str) -> Sender:
        return Sender(self._allowance(url), self._terms.resolve, self._terms.seconds)


def _turns_of(job: Job) -> tuple[Turn, Turn]:
    """Return what a job's next delivery takes: a turn of its kind, and one of those for its key or host."""
    message = next_waiting(job.deliveries)
    assert message is not None, "a job without anything to send is not due"
    return (message["kind"],), (message["kind"], job.owner or _host(message["url"]))


def _host(url: str) -> str:
    """Return the host of an address; nothing for one that is not valid, which an earlier version let in."""
    try:
        return read_url(url).host
    except AddressRefused:
        return ""
