"""The broker: its queues, the settings of Celery, and what is sent.

The settings are what measurements demand. A message is acknowledged when its part is done, so that a worker's
death gives it back. Queues are quorum queues: nothing is lost when one broker of several dies, and a message
that has killed its workers is laid aside in the queue ``dead``, whose reader fails its job. Heartbeats tell
both sides of a dead connection, which is why the pool is ``prefork``: the parent beats while the child works.
Redis has no such queues, and hands a long job to a second worker.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from celery import Celery
from kombu import Exchange
from kombu import Queue as BrokerQueue

from app.cluster.part import Part, Queue
from app.jobs.messages import Ended, to_line

TASK: Final = "mouthpiece.part"
"""The one task there is: ``job_id`` and ``index`` name the part."""
DELIVERY_LIMIT: Final = 2
"""How often a message comes back before it is laid aside: a part is tried three times. Fixed, because a queue
cannot change it; see ``MOUTHPIECE_MAX_ATTEMPTS``."""
HEARTBEAT_SECONDS: Final = 20
DEAD: Final = "dead"
ENDED: Final = "ended"

_QUORUM: Final = {"x-queue-type": "quorum"}
_WORK: Final = _QUORUM | {
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}

dead_letters: Final = BrokerQueue(DEAD, Exchange(""), routing_key=DEAD, queue_arguments=_QUORUM)
endings: Final = BrokerQueue(ENDED, Exchange(""), routing_key=ENDED, queue_arguments=_QUORUM)
_PATIENCE: Final = {"max_retries": 3, "interval_start": 0, "interval_step": 0.3, "interval_max": 1}


def make_celery(broker_url: str) -> Celery:
    """Return Celery as this service uses it; nothing is connected yet."""
    celery = Celery("mouthpiece", broker=broker_url, set_as_current=False)
    celery.conf.update(
        task_queues=[
            BrokerQueue(name, Exchange(""), routing_key=name, queue_arguments=_WORK) for name in Queue
        ],
        task_default_queue=Queue.RENDERS,
        task_default_exchange="",
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_acks_on_failure_or_timeout=False,
        task_reject_on_worker_lost=True,
        task_publish_retry_policy=_PATIENCE,
        worker_consumer="app.cluster.consumer:PlainConsumer",
        worker_prefetch_multiplier=1,
        worker_detect_quorum_queues=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_proc_alive_timeout=900.0,
        broker_heartbeat=HEARTBEAT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"confirm_publish": True},
    )
    return celery


@dataclass(frozen=True)
class TimeLimits:
    """How long a part may take before its process is killed: far above what it does take."""

    base: float = 600.0
    """Seconds for a part of nothing."""
    seconds_a_megabyte: float = 60.0
    """For an upload, whose length in time is not known before it is decoded."""
    seconds_a_segment: float = 300.0

    def of(self, part: Part, upload_bytes: int) -> float:
        """Return the limit of a part, seconds."""
        return self.base + upload_bytes / 1e6 * self.seconds_a_megabyte + part.count * self.seconds_a_segment


class Post:
    """Sends, from any thread. Raises ``kombu.exceptions.OperationalError`` if the broker is away."""

    def __init__(self, celery: Celery, limits: TimeLimits = TimeLimits()) -> None:
        self._celery = celery
        self._limits = limits

    def send(self, part: Part, upload_bytes: int) -> None:
        """Send a part to its queue; returns when the broker has it on its disks."""
        self._celery.send_task(
            TASK,
            kwargs={"job_id": part.job_id, "index": part.index},
            queue=part.queue,
            time_limit=self._limits.of(part, upload_bytes),
        )

    def tell(self, ended: Ended) -> None:
        """Tell the web process that a job has ended."""
        with self._celery.producer_or_acquire() as producer:
            producer.publish(
                to_line(ended),
                routing_key=ENDED,
                exchange="",
                declare=[endings],
                content_type="text/plain",
                content_encoding="utf-8",
                delivery_mode=2,
                retry=True,
                retry_policy=_PATIENCE,
            )

    def waiting(self, queues: Iterable[str]) -> dict[str, int]:
        """Return how many messages are ready in each queue; 0 for one that is not there."""
        with self._celery.connection_for_read() as connection:
            channel: Any = connection.default_channel
            return {name: _ready(channel, name) for name in queues}

    def close(self) -> None:
        """Close the connections."""
        self._celery.close()


def _ready(channel: Any, name: str) -> int:
    declared = BrokerQueue(name, Exchange(""), routing_key=name, queue_arguments=_WORK)(channel)
    count: int = declared.queue_declare().message_count
    return count
