"""A worker in a process of its own, on one machine or a cluster: ``python -m app.workers.child``.

Its standard input carries the settings and the device as one line of JSON, then messages; when it closes,
the parent is gone and this process ends. Its standard output carries messages; whatever a library prints
goes to standard error.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Protocol

import structlog

from app.decoding.process import DecoderDied, DecoderStalled, start_server
from app.errors import EngineUnavailable, JobCanceled, ModelError, MouthpieceError, TooMuchMemory
from app.jobs.pool import Answer, Call
from app.logs import configure_logs
from app.progress import Progress
from app.sandbox import Sandbox, cap_memory, enter, keep_temporary_files_in
from app.settings import Settings
from app.tracing import about
from app.volume import lasting_meaning
from app.workers.messages import Message, from_line, to_line

log = structlog.stdlib.get_logger("app.workers.child")

TELL_SECONDS: Final = 0.1
"""Least time between two reports of a call's progress."""

Tell = Callable[[Message], None]


class Works(Protocol):
    """What does the calls: :class:`app.workers.worker.Worker`."""

    @property
    def model(self) -> Mapping[str, Any]:
        """What the service is to know of it."""

    def do(self, call: Call, progress: Progress, gives_way: Callable[[], bool]) -> Answer:
        """Do a call; raise what ``progress`` raises. It may answer early if it ``gives_way``."""


def start_worker(settings: Settings) -> Callable[[], Works]:
    """Start what decodes, while this process may still start others; return what loads the worker."""
    decoding = start_server()

    def load() -> Works:
        from app.workers.worker import Worker  # only now: what it imports has threads of its own

        return Worker.load(settings, decoding)

    return load


def main(start: Callable[[Settings], Callable[[], Works]] = start_worker) -> None:
    """Run the worker until its parent ends it or is gone.

    SIGTERM is for the service: where all its processes are told to stop, as systemd does, it gives
    its jobs back first, and no worker dies of it. What this process starts ignores it, too.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell, told, settings = begin()
    if cores := told.get("cores"):
        os.sched_setaffinity(0, cores)
    settings = settings.model_copy(update={"device": told["device"]})
    structlog.contextvars.bind_contextvars(worker=told["name"])
    load = start(settings)
    keep_temporary_files_in(settings.data_dir / "cache" / "tmp")
    walls = enter(Sandbox.of(settings))  # before any other thread is there
    if walls.missing:
        log.warning("room_has_gaps", missing=walls.missing)
    mailbox = Mailbox(tell)
    listen(mailbox.hear)
    try:
        check_volumes(settings, told.get("marks", {}))
        worker = load()
    except ModelError as error:
        tell({"unusable": error.problem()})
        return
    cap_memory(settings.max_job_memory_bytes)
    model = dict(worker.model)
    log.info("model_ready", **{key: model[key] for key in ("name", "device") if key in model})
    tell({"ready": model, "host": socket.gethostname()})
    while True:
        tell(mailbox.answer(worker))


class Mailbox:
    """Where the pool's messages are left by one thread, and its calls are done by another."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._calls = SimpleQueue[Call]()
        self._asked = ""
        """Whether the call is to ``stop`` or to ``give_way``."""

    def hear(self, message: Message) -> None:
        """Take a message of the pool. A call may be stopped before it has begun."""
        if "call" in message:
            self._asked = ""
            self._calls.put(Call(**message["call"]))
        elif "stop" in message:
            self._asked = "stop"
        elif "give_way" in message:
            self._asked = self._asked or "give_way"

    def answer(self, worker: Works) -> Message:
        """Have a worker do the next call, telling of its progress; return the message that ends it."""
        call = self._calls.get()
        told = time.monotonic() - TELL_SECONDS

        def progress(done: int, total: int) -> None:
            nonlocal told
            self._check_stopped()
            now = time.monotonic()
            if now - told >= TELL_SECONDS or done == total > 0:
                told = now
                self._tell({"told": [done, total]})

        with structlog.contextvars.bound_contextvars(**about(call.job_id, call.traceparent)):
            try:
                self._check_stopped()
                return {"answer": dict(worker.do(call, progress, lambda: self._asked == "give_way"))}
            except JobCanceled:
                return {"left": "stopped"}
            except DecoderDied as died:
                return {"died": str(died), "stalled": isinstance(died, DecoderStalled)}
            except Exception as error:
                return {"failed": as_error(error, call.job_id).problem()}

    def _check_stopped(self) -> None:
        if self._asked == "stop":
            raise JobCanceled("The job was canceled.")


def as_error(error: Exception, job_id: str) -> MouthpieceError:
    """Return what a call failed of, and log it; a caller never sees the words of an unforeseen error."""
    if isinstance(error, MouthpieceError):
        log.info("job_refused", code=error.code, detail=error.detail)
        return error
    if isinstance(error, OSError) and (meant := lasting_meaning(error)):
        log.info("job_refused", code=meant.code, detail=meant.detail, error=str(error))
        return meant
    log.exception("job_broke", exc_info=error)
    if isinstance(error, MemoryError):
        return TooMuchMemory("The job exceeds the memory limit; send a smaller file.")
    return MouthpieceError(f"The job failed unexpectedly; the service's log says why, under job {job_id}.")


def check_volumes(settings: Settings, marks: Mapping[str, str]) -> None:
    """Raise ``EngineUnavailable`` unless the folders are those in which the service has left its marks.

    Or if there is no folder for decoded frames, which no other machine has made.
    """
    if settings.frames_dir and not settings.frames_dir.is_dir():
        raise EngineUnavailable(
            f"{settings.frames_dir.absolute()} on {socket.gethostname()} cannot be made, or is not a folder: "
            "name another as MOUTHPIECE_FRAMES_DIR."
        )
    for name, mark in marks.items():
        folder: Path = getattr(settings, name)
        if not (folder / mark).exists():
            raise EngineUnavailable(
                f"{folder.absolute()} on {socket.gethostname()} is not the service's "
                f"MOUTHPIECE_{name.upper()}: mount the same volume on all machines, or name it there."
            )


def begin() -> tuple[Tell, Message, Settings]:
    """Return what tells the parent, and what it said first, with the settings in it; logs are as they say."""
    tell = _open_channel()
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
        start = from_line(pipe.readline())
    settings = Settings.model_validate(start["settings"])
    configure_logs(settings.log_format, settings.log_level)
    return tell, start, settings


def listen(hear: Callable[[Message], object]) -> None:
    """Hear the parent from now on, in a thread; when it is gone, so is this process."""

    def read() -> None:
        with open(sys.stdin.fileno(), "rb", closefd=False) as pipe:
            for line in pipe:
                hear(from_line(line))
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()


def _open_channel() -> Tell:
    """Take standard output for messages, and send whatever else is printed to standard error."""
    channel = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def tell(message: Message) -> None:
        with lock:
            os.write(channel, to_line(message))

    return tell


if __name__ == "__main__":
    main()
