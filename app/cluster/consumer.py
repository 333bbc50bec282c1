"""Celery's consumer without the queues that it makes for messages to be delivered later: none are."""

from typing import ClassVar, Final

from celery.worker.consumer import Consumer

_DELAYED: Final = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class PlainConsumer(Consumer):  # type: ignore[misc]
    """Talks to the broker in the parent process."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """The steps of its start."""

        default_steps: ClassVar = [step for step in Consumer.Blueprint.default_steps if step != _DELAYED]
