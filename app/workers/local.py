"""The pool of one machine: child processes of the service, one per device. No ports, no other service.

A child that ends is started again: at once, and ever later if it keeps dying; if it could not load its model,
when the file changes, or later.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil
from typing import Final

import structlog
from anyio import to_thread

from app.sandbox import without_secrets
from app.settings import Settings
from app.wav2lip.card import runs_on_cpu
from app.wav2lip.devices import has_cuda_driver, usable_cores
from app.workers.messages import Message
from app.workers.pool import MemberPool

log = structlog.stdlib.get_logger(__name__)

LONG_LIFE_SECONDS: Final = 60.0
"""A worker that lived this long, or answered a call, is not one of a row that keeps dying."""
LOOK_SECONDS: Final = 0.5
"""How often the file of a model that could not be loaded is looked at."""


@dataclass(frozen=True)
class Slot:
    """Where a worker works: a device, and the cores that it may use; none: all."""

    device: str
    cores: tuple[int, ...] = ()


class LocalPool(MemberPool):
    """Keeps one child process a slot running; see :class:`app.jobs.pool.Pool`."""

    command = (sys.executable, "-m", "app.workers.child")

    async def start(self, changed: Callable[[], None]) -> None:
        """See :class:`Pool`."""
        self._changed = changed
        for slot in slots_of(self._settings):
            self._add(slot)

    def _add(self, slot: Slot) -> None:
        self._keep(partial(self._run_child, f"worker-{len(self._keepers)}", slot))

    async def _run_child(self, name: str, slot: Slot) -> None:
        """Run a child until it ends, wait until another may be started, and so on."""
        failures = 0  # in a row
        while True:
            started = time.monotonic()
            signature = await to_thread.run_sync(self._signature)
            hear, environment = partial(self._hear, name), without_secrets(os.environ)
            how = await self._run(name, environment, self._timeouts.start, hear, **asdict(slot))
            worked = name in self.members and self.members[name].job
            self._hear(name, {"gone": True, "died": how})
            if name in self.problems:
                await self._until_changed(signature)
            else:
                lived = worked or time.monotonic() - started > LONG_LIFE_SECONDS
                failures = 1 if lived else failures + 1
                self._reason = (
                    f"The render process {how}; it is being started again, try again in a few seconds."
                )
                log.error("worker_process_died", worker=name, how=how, failures=failures)
                await asyncio.sleep(self._timeouts.delay(failures))
            self.restarts += 1

    def _hear(self, name: str, message: Message) -> None:
        super()._hear(name, message)
        if "ready" in message and len(self._keepers) == 1 and self._settings.device in ("auto", "cuda"):
            for index in range(1, message["ready"].get("devices", 0)):  # ``auto`` takes all GPUs
                self._add(Slot(f"cuda:{index}"))

    def _signature(self) -> tuple[float, int] | None:
        try:
            stat = self._settings.model_path.stat()
        except OSError:
            return None
        return stat.st_mtime, stat.st_size

    async def _until_changed(self, signature: tuple[float, int] | None) -> None:
        for _ in range(ceil(self._timeouts.longest_delay / LOOK_SECONDS)):
            await asyncio.sleep(LOOK_SECONDS)
            if await to_thread.run_sync(self._signature) != signature:
                break


def slots_of(settings: Settings) -> list[Slot]:
    """Return where workers are started at first: one on each device that is named, at least.

    Where the model runs on the CPU, there are as many as are wanted, and they share its cores. A device
    is then named for its encoder alone.
    """
    devices = settings.device.split(",")
    without_gpu = devices == ["cpu"] or (devices == ["auto"] and not has_cuda_driver())
    on_cpu = without_gpu or runs_on_cpu(settings.model_path)
    count = max(len(devices), settings.workers) if on_cpu else len(devices)
    if not on_cpu or count == 1:
        return [Slot(device) for device in devices]
    cores = sorted(os.sched_getaffinity(0))[: usable_cores()]
    shares = [tuple(cores[n::count] or cores[n % len(cores) :][:1]) for n in range(count)]
    return [Slot(devices[n % len(devices)], share) for n, share in enumerate(shares)]
