"""A worker in a process of its own, on one machine or a cluster: ``python -m app.workers.child``.

Its standard input carries the settings and the device as one line of JSON, then messages; when it closes,
the parent is gone and this process ends. Its standard output carries messages; whatever a library prints
goes to standard error.
"""

import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from app.decoding.process import DecoderDied, DecoderStalled
from app.errors import EngineUnavailable, JobCanceled, ModelError, MouthpieceError
from app.jobs.pool import Call
from app.logs import configure_logs
from app.sandbox import Sandbox, cap_memory, enter, keep_temporary_files_in
from app.settings import Settings
from app.workers.messages import Message, from_line, to_line
from app.workers.worker import Worker

log = structlog.stdlib.get_logger(__name__)

TELL_SECONDS: Final = 0.1
"""Least time between two reports of a call's progress."""

Tell = Callable[[Message], None]


def main(make_worker: Callable[[Settings], Worker] = Worker) -> None:
    """Run the worker until its parent ends it or is gone.

    SIGTERM is for the service: where all its processes are told to stop, as systemd does, it gives
    its jobs back first, and no worker dies of it. What this process starts ignores it, too.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell, start, settings = begin()
    if cores := start.get("cores"):
        os.sched_setaffinity(0, cores)
    settings = settings.model_copy(update={"device": start["device"]})
    structlog.contextvars.bind_contextvars(worker=start["name"])
    worker = make_worker(settings)
    worker.begin()
    keep_temporary_files_in(settings.data_dir / "cache" / "tmp")
    walls = enter(Sandbox.of(settings))  # before any other thread is there
    if walls.missing:
        log.warning("room_has_gaps", missing=walls.missing)
    calls = queue.SimpleQueue[Call]()
    listen(partial(hear, worker, calls))
    try:
        check_volumes(settings, start.get("marks", {}))
        model = worker.load()
    except ModelError as error:
        tell({"unusable": error.problem()})
        return
    cap_memory(settings.max_job_memory_bytes)
    log.info("model_ready", **{key: model[key] for key in ("name", "device") if key in model})
    tell({"ready": dict(model), "host": socket.gethostname()})
    while True:
        tell(answer(worker, calls.get(), tell))


def answer(worker: Worker, call: Call, tell: Tell) -> Message:
    """Have a worker do a call, telling of its progress; return the message that ends it."""
    told = time.monotonic() - TELL_SECONDS

    def progress(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_SECONDS or done == total > 0:
            told = now
            tell({"told": [done, total]})

    try:
        return {"answer": dict(worker.do(call, progress))}
    except JobCanceled:
        return {"left": "stopped"}
    except DecoderDied as died:
        return {"died": str(died), "stalled": isinstance(died, DecoderStalled)}
    except MouthpieceError as error:
        return {"failed": error.problem()}


def hear(worker: Worker, calls: "queue.SimpleQueue[Call]", message: Message) -> None:
    """Take a message of the pool; calls are done by another thread."""
    if "call" in message:
        worker.go_on()
        calls.put(Call(**message["call"]))
    elif "stop" in message:
        worker.stop()
    elif "give_way" in message:
        worker.give_way()


def check_volumes(settings: Settings, marks: Mapping[str, str]) -> None:
    """Raise ``EngineUnavailable`` unless the folders are those in which the service has left its marks."""
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
