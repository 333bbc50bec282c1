"""The pool of a Ray cluster: one worker per device of its machines, as reported by a driver process."""

import asyncio
import importlib.util
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from anyio import to_thread

from app.settings import Settings
from app.workers.join import RAY
from app.workers.member import NEVER_READY
from app.workers.messages import Message
from app.workers.pool import MemberPool

log = structlog.stdlib.get_logger(__name__)

if importlib.util.find_spec("ray") is None:  # the web process does not import it, only its driver does
    raise ImportError("No module named 'ray'")

DRIVER: Final = "driver"
"""How the process is called that talks to Ray."""
PROBE_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 25.0
"""How long Ray may take to let the service in: it would try for minutes with a wrong token."""
SILENT_SECONDS: Final = 30.0
"""A driver that says nothing for this long hangs; else it says every second or two that it is alive."""
AGAIN_SECONDS: Final = 2.0
"""Time between two tries to reach the cluster."""
MARK: Final = ".mouthpiece-volume-"
"""How the files begin by which workers know that they see the service's volumes."""


class RayPool(MemberPool):
    """See :class:`app.jobs.pool.Pool`."""

    command = (sys.executable, "-m", "app.workers.ray_driver")

    def __init__(self, settings: Settings, *, command: Sequence[str] = ()) -> None:
        super().__init__(settings, command=command)
        self._lost = ""
        """What to say when the driver ends; empty if it has said nothing."""
        self._wished = 0

    async def start(self, changed: Callable[[], None]) -> None:
        """See :class:`Pool`."""
        self._changed = changed
        self._keep(self._run_driver)

    def wish(self, workers: int) -> None:
        """See :class:`Pool`."""
        if workers != self._wished and DRIVER in self.processes and self._settings.ray_autoscaling:
            self._wished = workers
            self._send(DRIVER, {"wish": workers})

    async def _run_driver(self) -> None:
        """Run a driver until it ends, if there is a cluster to join, and wait a little."""
        address = self._settings.ray_address or ""
        if await answers(*self._settings.ray_head):
            self._reason = (
                f"The service is connecting to the cluster at {address}; try again in a few seconds."
            )
            self._lost, self._wished = "", -1
            marks = await to_thread.run_sync(_mark, self._settings)
            environment = {
                key: value for key, value in os.environ.items() if not key.startswith("MOUTHPIECE_")
            }
            how = await self._run(
                DRIVER,
                RAY | environment,
                CONNECT_SECONDS,
                self._hear_driver,
                silence=SILENT_SECONDS,
                marks=marks,
            )
            for name in list(self.members):
                self._hear(name, {"gone": True, "left": "the cluster was lost"})
            self.problems.clear()
            if how == NEVER_READY:  # with a wrong token, Ray says nothing for minutes
                self._hear_driver({"refused": "no answer"})
            self._reason = self._lost or (
                f"The process that is to join the cluster at {address} {how}; the service's log says why."
            )
        else:
            self._reason = (
                f"No head of a Ray cluster answers at {address}: start it with 'mouthpiece head', or "
                "correct MOUTHPIECE_RAY_ADDRESS. Jobs are accepted, and start when it is there."
            )
        log.warning("cluster_unreachable", reason=self._reason)
        await asyncio.sleep(AGAIN_SECONDS)

    def _hear_driver(self, message: Message) -> None:
        """Take a message of the driver."""
        address = self._settings.ray_address
        if "worker" in message:
            self._hear(message["worker"], message)
        elif "refused" in message:
            self._lost = (
                f"The cluster at {address} does not let this service in ({message['refused']}): give it "
                "the head's token, in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, and run it where 'ray start' "
                "was run."
            )
        elif "connected" in message:
            self._lost = (
                f"The cluster at {address} was lost; jobs are accepted, and continue when it is back."
            )
            self._reason = (
                f"The cluster at {address} has no ready worker yet; try again in a few seconds, or start one "
                "with 'mouthpiece worker'."
            )
            log.info("cluster_joined", address=address)
            self._changed()  # what was wished for before there was a driver is wished again

    def _hear(self, name: str, message: Message) -> None:
        if "ready" in message:
            log.info("worker_joined", worker=name, host=message.get("host"))
        if "ready" in message or "unusable" in message:
            self.problems.clear()  # what was wrong with one that is gone held until the next one has tried
        elif "gone" in message:
            known = name in self.members or name in self.problems
            if known:
                log.warning("worker_gone", worker=name, how=message.get("died") or message.get("left"))
            if "died" in message:
                self.restarts += known
                pause = message.get("pause")  # where it was not ready yet
                self._reason = f"A worker {message['died']}; another one is " + (
                    f"started after {pause:.0f} seconds, try again after that."
                    if pause
                    else "being started, try again in a few seconds."
                )
            else:
                self.problems.pop(name, None)
        super()._hear(name, message)

    def _tell(self, name: str, message: Message) -> None:
        self._send(DRIVER, {**message, "worker": name})


async def answers(host: str, port: int) -> bool:
    """Return whether anything takes connections there."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _mark(settings: Settings) -> dict[str, str]:
    """Leave a mark in each folder that the workers have to see; return its name by that of the setting.

    A volume that is only read cannot be marked, and is taken for the right one.
    """
    marks = {}
    for name in ("avatars_dir", "data_dir"):
        folder: Path = getattr(settings, name)
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob(f"{MARK}*"):
                old.unlink(missing_ok=True)
            mark = f"{MARK}{secrets.token_hex(8)}"
            (folder / mark).touch()
            marks[name] = mark
    return marks
