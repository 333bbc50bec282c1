"""Celery's consumer without what makes queues for messages that are to be delivered later: there are none here."""

from typing import Final

from celery.worker.consumer import Consumer

_DELAYED: Final = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class PlainConsumer(Consumer):
    """Talks to the broker in the parent process."""

    class Blueprint(Consumer.Blueprint):
        """The steps of its start."""

        default_steps = [step for step in Consumer.Blueprint.default_steps if step != _DELAYED]
