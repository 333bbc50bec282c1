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
        self._takes_writes = True

    def check(self) -> None:
        """Raise ``NotReady``, with the reason, if the table could not be used when it was last looked at."""
        if self._problem:
            raise NotReady(self._problem)

    async def save(self, job: Job) -> bool:
        """Write down how a job stands, however often that has to be tried; see :meth:`JobTable.save`."""
        while True:
            try:
                saved = await on_table(self._table.save, job)
                self._takes_writes = True
                return saved
            except SQLAlchemyError as error:
                self._takes_writes = False
                self._note(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def watch(self) -> None:
        """Look at the table again and again, until canceled."""
        while True:
            try:
                await on_table(self._table.check)
                if self._takes_writes:
                    self._problem = ""
            except (SQLAlchemyError, DataFolderError, OSError) as error:
                self._note(error)
            await asyncio.sleep(CHECK_SECONDS)

    def _note(self, error: SQLAlchemyError | DataFolderError | OSError) -> None:
        if not self._problem:
            log.error("job_table_unusable", error=str(error))
        self._problem = (
            error.detail
            if isinstance(error, DataFolderError)
            else "The job database cannot be used at the moment; the service's log says why."
        )
