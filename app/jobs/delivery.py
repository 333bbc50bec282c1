"""What is sent out when a job has ended: its file, and the news of it; kept with the job."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypedDict


class DeliveryKind(StrEnum):
    """What is sent."""

    RESULT = "result"
    """The finished file, by PUT."""
    WEBHOOK = "webhook"
    """The job as it ended, by POST."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    """For the end of the job, or to be tried again."""
    DELIVERED = "delivered"
    """Its receiver has it."""
    FAILED = "failed"
    """It was given up."""


class Delivery(TypedDict):
    """One delivery as plain data, as it is stored with a job."""

    id: str
    """The same at every attempt, so that a receiver knows it again."""
    kind: str
    url: str
    state: str
    attempts: int
    status: int | None
    """What the receiver answered last; None if it did not."""
    detail: str | None
    """Why the last attempt failed, a sentence."""
    next_at: str | None
    """When it is tried again, ISO 8601; None before the first attempt, and when there is none to come."""
    delivered_at: str | None
    """When its receiver had it, ISO 8601."""


@dataclass(frozen=True)
class Due:
    """A delivery that is to be made now."""

    job_id: str
    owner: str | None
    """Whose the job is; None where no key is asked for."""
    delivery: Delivery


def next_waiting(deliveries: Sequence[Delivery]) -> Delivery | None:
    """Return the delivery whose turn it is: the file goes first, the news that it is there after it."""
    waiting = [each for each in deliveries if each["state"] == DeliveryState.WAITING]
    return min(waiting, key=lambda each: each["kind"] != DeliveryKind.RESULT, default=None)


def due_at(deliveries: Sequence[Delivery]) -> datetime | None:
    """Return when something is to be sent, once the job has ended; None if nothing is.

    What was not tried yet is due whatever the clock says, which may be set back.
    """
    first = next_waiting(deliveries)
    if first is None:
        return None
    return datetime.fromisoformat(first["next_at"]) if first["next_at"] else datetime.fromtimestamp(0, UTC)
