"""What must be asked of the job table, or written to it, whatever happens; and whether it is usable."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import structlog

from app.errors import DataFolderError, DataFolderInUse, NotReady
from app.jobs.forever import forever
from app.jobs.table import JobTable
from app.threads import on_table

log = structlog.stdlib.get_logger(__name__)

RETRY_SECONDS: Final = 0.5
"""How often a write is tried again that the table did not take."""
CHECK_SECONDS: Final = 1.0
"""How often the table is looked at."""
SILENT_SECONDS: Final = 10.0
"""A table that does not answer for this long is told of; one that is busy waits for others as long."""

end_process: Final = partial(os._exit, 1)
"""Ends this process at once, and with it its workers, so that nothing more is written."""

T = TypeVar("T")


class Records:
    """The job table for those who cannot go on without its answer; knows whether it works."""

    def __init__(self, table: JobTable) -> None:
        self.table = table
        self.troubles: dict[str, str] = {}
        """Why something fails, empty once it does not: to ``read`` the table, to ``write`` it, and to give
        ``turns``, which the scheduler tells."""

    def check(self, *names: str) -> None:
        """Raise ``NotReady``, with the reason, if one of these failed last."""
        for reason in filter(None, map(self.troubles.get, names)):
            raise NotReady(reason)

    async def write(self, change: Callable[[], T]) -> T:
        """Change the table, however often that has to be tried; return what the change does."""
        while True:
            try:
                changed = await on_table(change)
                self.troubles["write"] = ""
                return changed
            except Exception as error:  # whatever it is, who waits for this has no other way to go on
                if not self.troubles.get("write"):
                    log.error("job_table_unusable", error=str(error))
                self.troubles["write"] = _told(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def read(self, ask: Callable[[], T]) -> T:
        """Ask the table, however often that has to be tried; :meth:`watch` tells why it must be."""
        while True:
            try:
                return await on_table(ask)
            except Exception as error:
                log.debug("job_table_asked_again", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def watch(self) -> None:
        """Look at the table again and again, until canceled."""
        await forever("job table", self._look, every=CHECK_SECONDS, tell=self._note)

    async def _look(self) -> None:
        silent = {"read": "The job database does not respond."}
        late = asyncio.get_running_loop().call_later(SILENT_SECONDS, self.troubles.update, silent)
        try:
            await on_table(self.table.check)
        finally:
            late.cancel()

    def _note(self, error: Exception | None) -> None:
        if isinstance(error, DataFolderInUse):  # two services would work on the same jobs
            log.critical("job_table_taken", detail=error.detail)
            end_process()
        self.troubles["read"] = _told(error) if error else ""


def _told(error: Exception) -> str:
    """Return what a caller is told of an error."""
    if isinstance(error, DataFolderError):
        return error.detail
    return "The job database cannot be used at the moment; the service's log says why."
