"""The pool of one machine: child processes of the service, one per device. No ports, no other service.

A child decodes hostile media, so its death is an ordinary event: it is restarted, and the caller of its
call is told. A child that cannot load its model tries again when the file changes, or later.
"""

import asyncio
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from app.decoding.process import how_it_ended
from app.jobs.pool import WorkerDied, WorkerLeft
from app.sandbox import without_secrets
from app.settings import Settings
from app.wav2lip.devices import has_cuda_driver, usable_cores
from app.workers.member import NEVER_READY, Member, Patience
from app.workers.messages import Message, from_line
from app.workers.pool import MemberPool, send

log = structlog.stdlib.get_logger(__name__)

COMMAND: Final = (sys.executable, "-m", "app.workers.child")
"""The command that runs a worker."""
LONG_LIFE_SECONDS: Final = 60.0
"""A worker that lived this long, or answered a call, is not one of a row that keeps dying."""
LOOK_SECONDS: Final = 0.5
"""How often the file of a model that could not be loaded is looked at."""


@dataclass(frozen=True)
class Slot:
    """Where a worker works: a device, and the cores that it may use; none: all."""

    device: str
    cores: tuple[int, ...] = field(default=())


class LocalPool(MemberPool):
    """Keeps one child process a slot running; see :class:`app.jobs.pool.Pool`."""

    def __init__(
        self, settings: Settings, *, patience: Patience | None = None, command: Sequence[str] = COMMAND
    ) -> None:
        super().__init__(settings, command, patience)
        self._processes: dict[Member, Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that are there."""
        return [process.pid for process in self._processes.values()]

    async def start(self, changed: Callable[[], None]) -> None:
        """See :class:`Pool`."""
        self._changed = changed
        for slot in slots_of(self._settings):
            self._add(slot)

    async def stop(self) -> None:
        """See :class:`Pool`. What they do is not waited for: it is done again at the next start."""
        self._stopping = True
        for member in list(self._processes):
            member.die(WorkerLeft("the service is being stopped"))
            self._kill(member)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def wish(self, workers: int) -> None:
        """See :class:`app.jobs.pool.Pool`: this one cannot grow."""

    def _deliver(self, member: Member, message: Message) -> None:
        send(self._processes.get(member), message)

    def _kill(self, member: Member) -> None:
        process = self._processes.get(member)
        if process is not None and process.returncode is None:
            process.kill()

    def _add(self, slot: Slot) -> None:
        number = len(self._tasks)
        placeholder = Member(f"worker-{number}", lambda _: None, lambda: None)
        self.members.append(placeholder)
        self._tasks.append(asyncio.create_task(self._keep(slot, placeholder, number)))

    async def _keep(self, slot: Slot, last: Member, number: int) -> None:
        """Run one child after another, until canceled."""
        failures = 0
        while True:
            started = time.monotonic()
            member = last = self._replace(last)
            signature = self._signature()
            how = await self._run(slot, member, number)
            self._changed()
            if self._stopping:
                return
            if member.problem is not None:
                await self._until_changed(signature)
            else:
                lived = time.monotonic() - started > LONG_LIFE_SECONDS or member.job
                failures = 1 if lived else failures + 1
                self._reason = (
                    f"The render process {how}; it is being started again, try again in a few seconds."
                )
                log.error("worker_process_died", worker=member.name, how=how, failures=failures)
                await asyncio.sleep(self._patience.delay(failures))
            self.restarts += 1

    def _replace(self, last: Member) -> Member:
        """Return a new member in the place of one that is gone; its problem stays until it is fixed."""
        member = Member(last.name, lambda message: self._deliver(member, message), lambda: self._kill(member))
        member.problem = last.problem
        self.members[self.members.index(last)] = member
        return member

    async def _run(self, slot: Slot, member: Member, number: int) -> str:
        """Run a child to its end; return how that came about."""
        try:
            process = await self._spawn(
                without_secrets(os.environ), device=slot.device, cores=slot.cores, name=member.name, marks={}
            )
        except OSError as error:
            return f"could not be started ({error.strerror})"
        self._processes[member] = process
        log.info("worker_process_started", worker=member.name, pid=process.pid, device=slot.device)
        try:
            await self._listen(process, member, number)
            how = how_it_ended(await process.wait())
            member.die(WorkerDied(how))
            return how
        except TimeoutError:
            return NEVER_READY
        finally:
            self._kill(member)
            await process.wait()
            del self._processes[member]

    async def _listen(self, process: Process, member: Member, number: int) -> None:
        """Hear a child until it ends. Raises TimeoutError if it does not become ready for too long."""
        assert process.stdout is not None
        async with asyncio.timeout(self._patience.start) as patience:
            while line := await process.stdout.readline():
                self._hear(member, line, number)
                if member.model is not None:
                    patience.reschedule(None)

    def _hear(self, member: Member, line: bytes, number: int) -> None:
        try:
            message = from_line(line)
        except ValueError:
            log.warning("message_not_understood", line=line[:200])
            return
        if "ready" in message:
            self._admit(member, message["ready"])
            if number == 0 and len(self._tasks) == 1:
                for slot in self._other_devices(message["ready"].get("devices", 0)):
                    self._add(slot)
        elif "unusable" in message:
            member.problem = message["unusable"]
        else:
            member.hear(message)

    def _other_devices(self, devices: int) -> Iterator[Slot]:
        """Yield the slots of the GPUs that ``auto`` takes besides the first, which has told of them."""
        if self._settings.device in ("auto", "cuda"):
            yield from (Slot(f"cuda:{index}") for index in range(1, devices))

    def _signature(self) -> tuple[float, int] | None:
        try:
            stat = self._settings.model_path.stat()
        except OSError:
            return None
        return stat.st_mtime, stat.st_size

    async def _until_changed(self, signature: tuple[float, int] | None) -> None:
        end = time.monotonic() + self._patience.longest_delay
        while self._signature() == signature and time.monotonic() < end:  # noqa: ASYNC110 - no events
            await asyncio.sleep(LOOK_SECONDS)


def slots_of(settings: Settings) -> list[Slot]:
    """Return where workers are started at first: on each device that is named, or sharing a CPU's cores."""
    devices = settings.device.split(",")
    on_cpu = devices == ["cpu"] or (devices == ["auto"] and not has_cuda_driver())
    if not on_cpu or settings.workers == 1:
        return [Slot(device) for device in devices]
    cores = sorted(os.sched_getaffinity(0))[: usable_cores()]
    count = settings.workers
    return [Slot("cpu", tuple(cores[n::count] or cores[n % len(cores) :][:1])) for n in range(count)]
