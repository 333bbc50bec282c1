"""Frees the volumes: leftovers of crashes at start-up, expired jobs later."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from anyio import to_thread

from app.avatars.store import AvatarStore
from app.errors import AvatarNotFound, StorageReadOnly
from app.jobs.files import DataFolder
from app.jobs.forever import forever
from app.jobs.job import utc_now
from app.jobs.table import JobTable
from app.threads import on_table

log = structlog.stdlib.get_logger(__name__)

LONGEST_PAUSE: Final = 60.0
"""Seconds between two looks for expired jobs, at most."""


@dataclass(frozen=True)
class Housekeeper:
    """Sweeps the data folder and the avatars; the service's lock on the data folder must be held."""

    table: JobTable
    files: DataFolder
    avatars: AvatarStore
    forget_files: Callable[[str], Awaitable[object]]
    """Deletes the files of a job that is no more."""
    job_ttl: float
    """For so many seconds jobs are kept that have ended,"""
    avatar_ttl: float
    """and implicit avatars that are not used."""

    def sweep(self) -> None:
        """Delete what a crash has left. For the start, before any upload can be in progress.

        No job's files if there is no job on record: it may be another database that knows them.
        """
        folders = self.files.sweep(self.table.ids_with_files()) if self.table.counts() else 0
        avatars = self.avatars.sweep()
        if folders or avatars:
            log.info("leftovers_swept", job_folders=folders, unfinished_avatars=avatars)

    async def expire(self) -> None:
        """Delete jobs that ended too long ago, their files, and implicit avatars that went unused as long.

        And what workers have left that died over an avatar. Raises ``StorageReadOnly``, at last.
        """
        for job_id in await on_table(self.table.expire, utc_now() - timedelta(seconds=self.job_ttl)):
            log.info("job_expired", job=job_id)
            await self.forget_files(job_id)
        await to_thread.run_sync(self._expire_avatars)

    def _expire_avatars(self) -> None:
        refused: StorageReadOnly | None = None
        for avatar_id in self.avatars.unused(utc_now() - timedelta(seconds=self.avatar_ttl)):
            if avatar_id in {job.avatar_id for job in self.table.open_jobs()}:
                continue
            try:
                self.avatars.delete(avatar_id)
                log.info("avatar_expired", avatar=avatar_id)
            except AvatarNotFound:  # deleted meanwhile
                pass
            except StorageReadOnly as error:  # said when all that can be done is done
                refused = error
        self.avatars.sweep()
        if refused:
            raise refused

    async def run(self) -> None:
        """Expire what has had its time again and again, until canceled."""
        pause = min(LONGEST_PAUSE, self.job_ttl / 2, self.avatar_ttl / 2)
        await forever("housekeeper", self.expire, every=pause)
