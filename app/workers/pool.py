"""What all pools share: they run processes, track their workers, and give calls to idle ones."""

import asyncio
import math
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final

import structlog

from app.decoding.process import how_it_ended
from app.errors import InvalidModel, Problem
from app.jobs.forever import forever
from app.jobs.pool import Answer, Call, Told
from app.settings import SECRETS, Settings
from app.workers.member import NEVER_READY, Member, Timeouts, Watchdog, difference
from app.workers.messages import Message, from_line, to_line

log = structlog.stdlib.get_logger(__name__)

LONGEST_LINE: Final = 1 << 20
"""Bytes of a message from a process."""


class MemberPool:
    """A pool of members; whoever inherits keeps them running, in tasks. See :class:`app.jobs.pool.Pool`."""

    command: ClassVar[Sequence[str]] = ()
    """What runs a process that reads and writes messages."""

    def __init__(
        self, settings: Settings, *, timeouts: Timeouts | None = None, command: Sequence[str] = ()
    ) -> None:
        self.model: Mapping[str, Any] | None = None
        self.restarts = 0
        self.members: dict[str, Member] = {}
        """The workers whose model is loaded, by their names, until their processes are gone."""
        self.problems: dict[str, Problem] = {}
        """What keeps workers from taking part, until they have tried again."""
        self.processes: dict[str, Process] = {}
        """Those that run, by their names."""
        self._settings = settings
        self._command = command or self.command
        self._timeouts = timeouts or Timeouts(stall=settings.stall_seconds)
        self._reason = "The model is loading; try again in a few seconds."
        self._changed: Callable[[], None] = lambda: None
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def size(self) -> int:
        """See :class:`Pool`."""
        return sum(not member.leaving for member in self.members.values())

    @property
    def idle(self) -> int:
        """See :class:`Pool`."""
        return sum(member.idle for member in self.members.values())

    @property
    def unusable(self) -> bool:
        """See :class:`Pool`: not while a process that is kept running has shown no problem, as it may load.

        Of a cluster that process is the driver: there, one worker's problem is enough.
        """
        return not self.members and 0 < len(self._keepers) <= len(self.problems)

    @property
    def status(self) -> str:
        """See :class:`Pool`."""
        for problem in self.problems.values():
            return problem["detail"]
        return "" if self.size else self._reason

    def call(self, call: Call, told: Told) -> Coroutine[Any, Any, Answer]:
        """See :class:`Pool`."""
        idle = [member for member in self.members.values() if member.idle]
        if not idle:
            raise LookupError("no worker is idle")
        member = next((each for each in idle if each.job == call.job_id), idle[0])
        return member.take(call, told, self._timeouts)

    def give_way(self, call: Call) -> None:
        """See :class:`Pool`."""
        for member in self.members.values():
            if member.call is call:
                member.tell({"give_way": True})

    def wish(self, workers: int) -> None:
        """See :class:`Pool`: this one cannot grow."""

    async def stop(self) -> None:
        """See :class:`Pool`. What they do is not waited for: it is done again at the next start."""
        for member in self.members.values():
            member.hear({"left": "the service is being stopped"})
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def _keep(self, keeper: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have workers kept running until the pool is stopped."""
        self._keepers.append(asyncio.create_task(forever("pool", keeper, tell=self._note)))

    def _note(self, error: Exception | None) -> None:
        if error:
            self._reason = "The workers failed unexpectedly; the service's log says why."

    async def _run(
        self,
        name: str,
        environment: Mapping[str, str],
        seconds: float,
        hear: Callable[[Message], None],
        *,
        silence: float = math.inf,
        **start: Any,
    ) -> str:
        """Run a process, which is told the settings first, without secrets; return how it ended.

        ``hear`` takes what it says. It is ended unless it says within so many seconds that it is ready, or
        connected; and if it says nothing for ``silence`` seconds after that. It has a session of its own: a
        Ctrl-C on the terminal is for the service, which then stops it.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,
                env=environment,
                limit=LONGEST_LINE,
            )
        except OSError as error:
            return f"could not be started ({error.strerror})"
        self.processes[name] = process
        ready = False
        try:
            device = start.get("device", self._settings.device)
            log.info("worker_process_started", worker=name, pid=process.pid, device=device)
            settings = self._settings.model_dump(mode="json", exclude=set(SECRETS))
            self._send(name, {"settings": settings, "name": name} | start)
            assert process.stdout is not None
            watchdog = Watchdog(seconds)
            while line := await watchdog.until(process.stdout.readline()):
                try:
                    message = from_line(line)
                except ValueError:
                    log.warning("message_not_understood", line=line[:200])
                    continue
                hear(message)
                if ready := ready or "ready" in message or "connected" in message:
                    watchdog = Watchdog(silence)
            return how_it_ended(await process.wait())
        except TimeoutError:
            return "fell silent, and was ended" if ready else NEVER_READY
        except Exception as error:
            log.exception("worker_misunderstood", worker=name, exc_info=error)
            return "said what cannot be understood, and was ended"
        finally:
            self._end(name)
            await process.wait()
            del self.processes[name]

    def _send(self, name: str, message: Message) -> None:
        """Tell a process something, unless it is gone."""
        process = self.processes.get(name)
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(to_line(message))

    def _end(self, name: str) -> None:
        """Kill a process, unless it is gone."""
        if name in self.processes:
            with suppress(ProcessLookupError):
                self.processes[name].kill()

    def _tell(self, name: str, message: Message) -> None:
        """Tell a worker something, or have it ended."""
        if "end" in message:
            self._end(name)
        else:
            self._send(name, message)

    def _hear(self, name: str, message: Message) -> None:
        """Take a message of a worker, or that it is gone."""
        if "ready" in message:
            self._admit(name, message["ready"])
        elif "unusable" in message:
            self.problems[name] = message["unusable"]
            log.error("model_unusable", worker=name, detail=message["unusable"]["detail"])
        elif name in self.members:
            self.members[name].hear(message)
        if "gone" in message:
            self.members.pop(name, None)
        if "told" not in message:
            self._changed()

    def _admit(self, name: str, model: Mapping[str, Any]) -> None:
        """Let a worker take part that has loaded its model, unless it is another one than the others have."""
        unlike = difference(model, self.model) if self.size and self.model else ""
        if unlike:
            detail = (
                f"The worker {name} has another model, encoder or release than the others: {unlike}; "
                "give all workers the same."
            )
            log.error("worker_refused", worker=name, detail=detail)
            self.problems[name] = InvalidModel(detail).problem()
            self._tell(name, {"end": "refused"})  # it tries again when it has been started again
        else:
            self.problems.pop(name, None)
            self.model, self.members[name] = model, Member(partial(self._tell, name))
