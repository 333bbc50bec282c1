"""A worker as a Ray actor: Ray places it on a machine with the device, and notices when it dies."""

import queue
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Final

import ray
import structlog

from app.errors import EngineUnavailable, ModelError
from app.logs import configure_logs
from app.settings import Settings
from app.workers.child import answer
from app.workers.messages import Message, to_call
from app.workers.worker import Worker

FATAL: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)

OWN: Final = {"model", "models_dir", "avatars_dir", "data_dir", "frames_dir", "encoder_threads", "log_format"}
"""Settings that a machine may have otherwise than the service, by its own environment."""


GROUPS: Final = {"work": 1, "control": 4}
"""How many calls an actor does at a time: one of its work, and beside it what that is told."""


class RayWorker:
    """One worker."""

    make_worker: ClassVar[type[Worker]] = Worker

    def __init__(self) -> None:
        # Ray's own handler of fatal signals unwinds the stack, for minutes beside OpenVINO: die at once.
        for fatal in FATAL:
            signal.signal(fatal, signal.SIG_DFL)
        self._worker: Worker

    @ray.method(concurrency_group="control")
    def load(self, settings: Mapping[str, Any], name: str, marks: Mapping[str, str]) -> Message:
        """Load the model with the service's settings; return the message ``ready`` or ``unusable``."""
        here = on_this_machine(settings)
        configure_logs(here.log_format, here.log_level)
        structlog.contextvars.bind_contextvars(worker=name)
        try:
            _check_volumes(here, marks)
            self._worker = self.make_worker(here)
            self._worker.begin()
            model = dict(self._worker.load())
        except ModelError as error:
            return {"unusable": error.problem()}
        return {"ready": model | {"devices": 0, "host": socket.gethostname()}}

    @ray.method(concurrency_group="control")
    def hold(self) -> None:
        """Never return: whoever waits for this hears of the actor's death."""
        threading.Event().wait()

    @ray.method(concurrency_group="control")
    def tell(self, message: Message) -> None:
        """Take the message ``stop`` or ``give_way``."""
        if "stop" in message:
            self._worker.stop()
        else:
            self._worker.give_way()

    @ray.method(concurrency_group="work")
    def do(self, plain: Message) -> Iterator[Message]:
        """Do a call; yields messages, the one that ends it last."""
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        call = to_call(plain)
        with ThreadPoolExecutor(1, "call") as pool:
            work = pool.submit(answer, self._worker, call, messages.put)
            work.add_done_callback(lambda _: messages.put({}))
            while message := messages.get():
                yield message
        yield work.result()


def on_this_machine(settings: Mapping[str, Any]) -> Settings:
    """Return the service's settings, with those that this machine's environment has otherwise."""
    own = Settings()
    given = {name: getattr(own, name) for name in own.model_fields_set & OWN}
    return Settings.model_validate(dict(settings) | given)


def _check_volumes(settings: Settings, marks: Mapping[str, str]) -> None:
    """Raise ``EngineUnavailable`` unless the folders are those in which the service has left its marks."""
    for name, mark in marks.items():
        folder: Path = getattr(settings, name)
        if not (folder / mark).exists():
            raise EngineUnavailable(
                f"{folder.absolute()} on {socket.gethostname()} is not the service's "
                f"MOUTHPIECE_{name.upper()}: mount the same volume on all machines, or name it there."
            )
