"""Keeps the volumes free of what nobody needs any more: leftovers of crashes at start, expired jobs later."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError

from app.avatars.store import AvatarStore
from app.jobs.files import DataFolder
from app.jobs.job import utc_now
from app.jobs.table import JobTable

log = structlog.stdlib.get_logger(__name__)

LONGEST_PAUSE: Final = 60.0
"""Seconds between two looks for expired jobs, at most."""


class Housekeeper:
    """Sweeps the data folder and the avatars; the service's lock on the data folder must be held."""

    def __init__(self, table: JobTable, files: DataFolder, avatars: AvatarStore, job_ttl: float) -> None:
        self._table = table
        self._files = files
        self._avatars = avatars
        self._job_ttl = job_ttl

    def sweep(self) -> None:
        """Delete what a crash has left. For the start, before any upload can be under way."""
        folders = self._files.sweep(self._table.ids_with_files())
        avatars = self._avatars.sweep()
        if folders or avatars:
            log.info("leftovers_swept", job_folders=folders, unfinished_avatars=avatars)

    def expire(self) -> None:
        """Delete the jobs that ended longer ago than jobs are kept, and their files."""
        for job in self._table.expire(utc_now() - timedelta(seconds=self._job_ttl)):
            self._files.forget(job.id)
            log.info("job_expired", job=job.id)

    async def run(self) -> None:
        """Expire jobs again and again, until canceled."""
        while True:
            try:
                await to_thread.run_sync(self.expire)
            except SQLAlchemyError as error:
                log.error("job_table_unwritable", error=str(error))
            await asyncio.sleep(min(LONGEST_PAUSE, self._job_ttl / 2))
