"""Writes to the job table that must not be lost, and whether the table is usable."""

import asyncio
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.errors import DataFolderError, NotReady
from app.jobs.job import Job
from app.jobs.table import JobTable
from app.threads import on_table

log = structlog.stdlib.get_logger(__name__)

RETRY_SECONDS: Final = 0.5
"""How often a write is tried again that the table did not take."""
CHECK_SECONDS: Final = 1.0
"""How often the table is looked at."""


class Records:
    """The job table, as the scheduler writes to it."""

    def __init__(self, table: JobTable) -> None:
        self._table = table
        self._problem = ""
        """Why it could not be used when it was last looked at."""
        self._refusal = ""
        """Why it did not take the last write."""

    def check(self) -> None:
        """Raise ``NotReady``, with the reason, if the table could not be used when it was last looked at."""
        if self._problem:
            raise NotReady(self._problem)

    def check_writes(self) -> None:
        """Raise ``NotReady``, with the reason, if it could not, or did not take the last write."""
        if reason := self._problem or self._refusal:
            raise NotReady(reason)

    async def save(self, job: Job) -> bool:
        """Write down how a job stands, however often that has to be tried; see :meth:`JobTable.save`."""
        while True:
            try:
                saved = await on_table(self._table.save, job)
                self._refusal = ""
                return saved
            except SQLAlchemyError as error:
                self._refusal = _told(error, self._refusal)
                await asyncio.sleep(RETRY_SECONDS)

    async def watch(self) -> None:
        """Look at the table again and again, until canceled."""
        while True:
            try:
                await on_table(self._table.check)
                self._problem = ""
            except (SQLAlchemyError, DataFolderError, OSError) as error:
                self._problem = _told(error, self._problem)
            await asyncio.sleep(CHECK_SECONDS)


def _told(error: SQLAlchemyError | DataFolderError | OSError, before: str) -> str:
    """Return what a caller is told of an error; log it if nothing was wrong ``before``."""
    if not before:
        log.error("job_table_unusable", error=str(error))
    if isinstance(error, DataFolderError):
        return error.detail
    return "The job database cannot be used at the moment; the service's log says why."
