"""What the broker has for the web process: messages that were given up, and news of jobs that have ended."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery import Celery
from kombu import Consumer, Message
from kombu.mixins import ConsumerMixin
from sqlalchemy.exc import SQLAlchemyError

from app.cluster.post import HEARTBEAT_SECONDS, dead_letters, endings
from app.jobs.messages import Ended, from_line

RETRY_SECONDS: Final = 1.0
"""How long a message is held that cannot be dealt with while PostgreSQL is away."""

log = structlog.stdlib.get_logger(__name__)


class Reader(ConsumerMixin):  # type: ignore[misc]
    """Reads both queues in a thread; connects again for as long as it takes when the broker is away."""

    def __init__(
        self, celery: Celery, on_dead: Callable[[str, int], None], on_ended: Callable[[Ended], None]
    ) -> None:
        self.connection = celery.connection_for_read(heartbeat=HEARTBEAT_SECONDS)
        self.connected = False
        """Whether the broker is there."""
        self._on_dead = on_dead
        self._on_ended = on_ended
        self._thread = threading.Thread(target=self.run, name="reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self.should_stop = True
        self._thread.join(timeout=5)

    def get_consumers(self, consumer: type[Consumer], channel: Any) -> list[Consumer]:
        """See kombu's mixin."""
        return [
            consumer([dead_letters], callbacks=[self._read_dead], accept=["json"], prefetch_count=1),
            consumer([endings], callbacks=[self._read_ending], accept=["text/plain"], prefetch_count=10),
        ]

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **_: Any) -> None:
        """See kombu's mixin."""
        self.connected = True

    def on_connection_error(self, error: Exception, interval: float) -> None:
        """See kombu's mixin."""
        self.connected = False
        log.warning("broker_unreachable", error=str(error))

    def on_connection_revived(self) -> None:
        """See kombu's mixin."""

    def _read_dead(self, body: Any, message: Message) -> None:
        try:
            _, named, _ = body
            self._on_dead(named["job_id"], named["index"])
        except SQLAlchemyError as error:
            log.error("job_table_unusable", error=str(error))
            time.sleep(RETRY_SECONDS)
            message.requeue()
        except (ValueError, KeyError, TypeError):
            log.error("dead_letter_not_understood")
            message.reject()
        else:
            message.ack()

    def _read_ending(self, body: Any, message: Message) -> None:
        message.ack()
        try:
            ended = from_line(body)
        except (ValueError, KeyError, TypeError):
            log.warning("message_not_understood")
            return
        if isinstance(ended, Ended):
            self._on_ended(ended)
